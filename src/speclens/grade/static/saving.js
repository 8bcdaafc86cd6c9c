"use strict";
// What was pressed and is not yet on the server's disk: kept in the browser, sent in order, again
// and again until it is acknowledged. Each act has an id, so that it counts once.
const Saving = (() => {
  const name = `speclens ${document.body.dataset.run} ${document.body.dataset.grader}`;
  const listeners = [];
  let acts = [], busy = false, trouble = "";

  try { acts = JSON.parse(localStorage.getItem(name)) || []; } catch { acts = []; }

  function tell() {
    try { localStorage.setItem(name, JSON.stringify(acts)); } catch { /* private windows have none */ }
    const box = document.getElementById("saving");
    box.classList.toggle("failing", trouble !== "");
    box.textContent = trouble + (acts.length ? ` ${acts.length} not yet saved` : trouble ? "" : "saved");
  }

  async function send() {
    if (busy || !acts.length) return;
    busy = true;
    const act = acts[0];
    let wait = 0;
    try {
      const answer = await fetch(act.address, {
        method: "POST", body: JSON.stringify(act.body), headers: { "Content-Type": "application/json" },
      });
      if (answer.ok) {
        const saved = await answer.json();
        acts.shift();
        trouble = "";
        listeners.forEach((listener) => listener(act, saved));
      } else if (answer.status === 403 || answer.status >= 500) {
        trouble = answer.status === 403 ? "open the new address from the terminal:" : `${await answer.text()}:`;
        wait = 2000;
      } else {
        trouble = `refused: ${await answer.text()}`;
        acts.shift();
      }
    } catch {
      trouble = "no answer from the server:";
      wait = 1500;
    }
    busy = false;
    tell();
    setTimeout(send, wait);
  }

  function add(address, body) {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    const id = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    acts.push({ address, body: { ...body, id } });
    tell();
    send();
  }

  window.addEventListener("beforeunload", (event) => { if (acts.length) event.preventDefault(); });
  tell();
  send();
  return {
    say: (hit, kind, value) => add("api/events", { hit, kind, value }),
    undo: () => add("api/undo", {}),
    onSaved: (listener) => listeners.push(listener),
  };
})();

// The key that was pressed, whatever the layout and caps lock; empty in a text box.
function pressed(event) {
  const box = event.target;
  const isText = box.isContentEditable || box.tagName === "TEXTAREA" || box.tagName === "SELECT" ||
    (box.tagName === "INPUT" && !["range", "checkbox", "radio", "button"].includes(box.type));
  if (isText || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return "";
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (key.length > 1 || /^[a-z0-9/?]$/.test(key)) return key;
  const place = /^(?:Key([A-Z])|(?:Digit|Numpad)([0-9]))$/.exec(event.code);
  return place ? (place[1] || place[2]).toLowerCase() : "";
}

// What the grade of a hit whose truth is known is told.
function verdict(answer) {
  return `${answer.right === null ? "" : answer.right ? "\u2713 right: " : "\u2717 wrong: "}${answer.text}`;
}
