"use strict";
(() => {
  const tiles = [...document.querySelectorAll(".tile")];
  let chosen = 0;

  function choose(number) {
    if (!tiles.length) return;
    tiles[chosen].classList.remove("chosen");
    chosen = Math.max(0, Math.min(tiles.length - 1, number));
    tiles[chosen].classList.add("chosen");
    tiles[chosen].scrollIntoView({ block: "nearest" });
  }

  const across = () => tiles.filter((tile) => tile.offsetTop === tiles[0].offsetTop).length;

  function show(hit, grade) {
    for (const tile of tiles.filter((one) => one.dataset.hit === hit)) {
      const count = document.getElementById("graded");
      count.textContent = Number(count.textContent) + Boolean(grade) - Boolean(tile.dataset.grade);
      tile.dataset.grade = grade;
      tile.querySelector(".badge").textContent = grade;
    }
  }

  // The truth, of who is in training.
  function tell(hit, answer) {
    for (const tile of answer ? tiles.filter((one) => one.dataset.hit === hit) : []) {
      tile.querySelector(".told").textContent = tile.title = verdict(answer);
      tile.dataset.right = answer.right;
    }
  }

  // After the texts, one by one: grades in between do not wait.
  async function draw() {
    for (const tile of tiles) {
      try {
        const answer = await fetch(`api/line?${new URLSearchParams({ hit: tile.dataset.hit })}`);
        const line = await answer.json();
        tile.querySelector("path.data").setAttribute("d", line.residual || "");
        tile.querySelector("path.fit").setAttribute("d", line.fit || "");
        tile.classList.toggle("empty", !line.residual);
      } catch { tile.classList.add("empty"); }
    }
  }

  function grade(value) {
    const hit = tiles[chosen].dataset.hit;
    show(hit, value);
    Saving.say(hit, "grade", value);
    choose(chosen + 1);
  }

  const keys = {
    ArrowRight: () => choose(chosen + 1), n: () => choose(chosen + 1),
    ArrowLeft: () => choose(chosen - 1), p: () => choose(chosen - 1),
    ArrowDown: () => choose(chosen + across()), ArrowUp: () => choose(chosen - across()),
    a: () => grade("A"), b: () => grade("B"), c: () => grade("C"), x: () => grade("X"), 0: () => grade(""),
    u: () => Saving.undo(),
    Enter: () => { location.href = tiles[chosen].href; },
    PageDown: () => document.getElementById("next")?.click(),
    PageUp: () => document.getElementById("previous")?.click(),
    "/": () => document.getElementById("search").focus(),
  };

  document.addEventListener("keydown", (event) => {
    const act = keys[pressed(event)];
    const onLink = event.key === "Enter" && event.target !== document.body;
    if (!act || onLink || (!tiles.length && event.key !== "/")) return;
    event.preventDefault();
    act();
  });
  Saving.onSaved((act, saved) => {
    if (saved.own) { show(saved.own.subject, saved.own.grade); tell(saved.own.subject, saved.answer); }
    else if (saved.hit) location.reload();
  });
  choose(0);
  draw();
  if (location.hash === "#search") document.getElementById("search").focus();
})();
