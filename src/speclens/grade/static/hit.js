"use strict";
(() => {
  const UNITS = "\u00c5, 10\u207b\u00b9\u2077 erg s\u207b\u00b9 cm\u207b\u00b2 \u00c5\u207b\u00b9";
  const LIGHT_KMS = 299792.458, REACH_KMS = 1500, PIXEL = Math.LN10 * 1e-4;
  const byId = (name) => document.getElementById(name);
  const asked = new URLSearchParams(location.search);
  const ready = new Map();
  const ISSUES = { k: "sky", g: "glitch", z: "wrong_z", t: "two_objects" };
  let looking = false, shown = null, spectra = null, z = NaN, smoothing = 2, views = {}, picked = NaN;
  let peek = sessionStorage.getItem("peek") === "1";

  function spectrum(sent) {
    const made = {};
    for (const [key, value] of Object.entries(sent)) if (key !== "first") made[key] = unpacked(value);
    made.wave = made.flux.map((_, i) => 10 ** ((sent.first + i) * 1e-4));
    return made;
  }

  function question(hit) {
    const all = new URLSearchParams(asked);
    all.set("hit", hit);
    return all;
  }

  function get(hit) {
    if (!ready.has(hit)) {
      const all = question(hit);
      if (peek) all.set("peek", "1");
      const coming = fetch(`api/hit?${all}`, { signal: AbortSignal.timeout(15000) }).then(async (answer) => {
        if (!answer.ok) throw new Error(await answer.text());
        return answer.json();
      });
      coming.catch(() => ready.delete(hit));
      ready.set(hit, coming);
      // Old ones make room.
      for (const old of [...ready.keys()].slice(0, Math.max(0, ready.size - 12))) ready.delete(old);
    }
    return ready.get(hit);
  }

  // Keys that are pressed meanwhile wait: none falls on the hit before.
  let going = Promise.resolve();

  async function show(hit) {
    if (!hit) return;
    let found;
    try { found = await get(hit); } catch (error) { byId("said").textContent = `not loaded: ${error.message}`; return; }
    shown = found;
    history.replaceState(null, "", `hit?${question(hit)}`);
    byId("facts").innerHTML = found.html;  // escaped by the server's templates
    byId("place").textContent = found.place;
    byId("said").textContent = "";
    spectra = found.plot && { whole: spectrum(found.plot.whole), window: spectrum(found.plot.window) };
    z = found.own.z_source ?? found.plot?.z_source ?? NaN;
    views = usual(); picked = NaN;
    state(found);
    draw();
    sky();
    document.body.dataset.hit = found.hit;
    found.next.forEach(get);
  }

  function state(found) {
    Object.assign(shown, { own: found.own, others: found.others ?? shown.others, answer: found.answer });
    const own = shown.own;
    document.querySelectorAll("[data-grade]").forEach((one) => one.setAttribute("aria-pressed", one.dataset.grade === own.grade));
    document.querySelectorAll("[data-issue]").forEach((one) => one.setAttribute("aria-pressed", own.issues.includes(one.dataset.issue)));
    if (document.activeElement !== byId("comment")) byId("comment").value = own.comment;
    if (document.activeElement !== byId("z")) byId("z").value = Number.isFinite(z) ? z.toFixed(4) : "";
    byId("answer").textContent = shown.answer ? verdict(shown.answer) : "";
    byId("answer").dataset.right = shown.answer?.right ?? "";
    byId("others").textContent = [
      own.hypothesis ? `you take it for ${own.hypothesis}.` : "",
      own.z_source !== null ? `kept: z = ${own.z_source}.` : "",
      ...(peek ? shown.others || [] : []).map((o) => `${o.grader}: ${[o.grade, ...o.issues, o.hypothesis, o.comment].filter(Boolean).join(", ")}.`),
    ].filter(Boolean).join(" ");
  }

  // A picture of the sky, only where it was asked for.
  function sky() {
    const box = byId("sky"), text = box.querySelector("figcaption");
    box.hidden = !looking || !shown;
    box.querySelector("img")?.remove();
    if (box.hidden) return;
    if (!shown.picture) { text.textContent = "no picture: its position is unknown"; return; }
    if (document.querySelector("main").dataset.images !== "1") { text.textContent = "no picture: start with --images, or follow the links"; return; }
    const picture = new Image(256, 256);
    picture.alt = "the sky around the target";
    picture.addEventListener("error", () => { picture.remove(); text.textContent = "no picture came: no network, or no such place in the survey"; });
    text.textContent = "25\u2033 of the Legacy Survey, north up";
    box.prepend(picture);
    picture.src = shown.picture;
  }

  function say(kind, value) {
    if (!shown) return;
    ready.delete(shown.hit);
    Saving.say(shown.hit, kind, value);
  }

  // The window is smoothed less than the whole, which has more pixels a millimetre.
  const half = (name) => name === "whole" ? smoothing : Math.floor(smoothing / 2);
  const meanOf = (n) => n ? `, mean of ${2 * n + 1} pixels` : "";

  function drawSpectrum(name, title) {
    const canvas = byId(name), { context, width, height } = sheet(canvas), s = spectra[name], plot = shown.plot;
    const x = views[name] || [s.wave[0], s.wave[s.wave.length - 1]];
    const flux = smoothed(s.flux, half(name));
    const inView = (_, i) => s.wave[i] >= x[0] && s.wave[i] <= x[1];
    const near = (value) => Math.abs(value / plot.wave - 1) * LIGHT_KMS < REACH_KMS;
    const fit = s.fit ? s.fit.map((value, i) => near(s.wave[i]) ? value + s.model[i] : NaN) : [];
    const y = ends(flux.filter(inView), 0.003, views[name] ? 1 : 0.997);
    y[1] = fit.filter(inView).reduce((top, value) => Math.max(top, 1.05 * value || top), y[1]);
    const panel = new Panel(context, { left: 48, top: 60, width: width - 58, height: height - 78 }, x, [Math.min(y[0], 0), y[1]]);
    for (const wave of plot.sky) panel.shade(wave - 4, wave + 4, "sky");
    panel.band(s.wave, s.error, "error");
    panel.curve(s.wave, s.masked, "mask", 1);
    panel.curve(s.wave, flux, "data", 1);
    panel.curve(s.wave, s.model, "model", 1.5);
    if (s.fit) panel.curve(s.wave, fit, "fit", 2, [6, 4]);
    const at = (lines, redshift) => lines.map(([text, wave]) => [text, wave * (1 + redshift)]);
    if (plot.z_lens !== null) panel.rules(at(plot.lens, plot.z_lens), "lens", [0, 1]);
    if (Number.isFinite(z)) panel.rules(at(plot.source, z), "source", [2, 3], []);
    panel.rule(picked, "fit", "here");
    panel.frame(10, 4);
    context.fillText(`${title} \u00b7 ${UNITS}`, 48, 11);
    canvas.panel = panel;
  }

  function drawLines() {
    const { context, width, height } = sheet(byId("lines")), s = spectra.whole;
    const rest = s.flux.map((value, i) => value - s.model[i]);
    const isSeen = ([, wave]) => wave * (1 + z) > s.wave[0] && wave * (1 + z) < s.wave[s.wave.length - 1];
    const seen = shown.plot.source.filter(isSeen), unseen = shown.plot.source.filter((line) => !isSeen(line));
    context.fillStyle = color("soft");
    if (!seen.length) { context.fillText("no line of the source is covered at this redshift", 48, 30); return; }
    const absent = unseen.length ? ` \u00b7 not covered: ${unseen.map(([text]) => text).join(", ")}` : "";
    context.fillText(`km/s from where each line of the source is at this redshift, without the foreground${absent}`, 48, height - 3);
    const each = (width - 48) / seen.length;
    seen.forEach(([text, wave], i) => {
      const centre = wave * (1 + z), kms = s.wave.map((value) => (value / centre - 1) * LIGHT_KMS);
      const near = rest.filter((_, k) => Math.abs(kms[k]) < REACH_KMS);
      const panel = new Panel(context, { left: 44 + i * each, top: 18, width: each - 40, height: height - 52 }, [-REACH_KMS, REACH_KMS], ends(near, 0, 1));
      panel.band(kms, s.error, "error");
      panel.rule(0, "source", text);
      panel.curve(kms, rest, "data", 1.2);
      panel.curve(spectra.window.wave.map((value) => (value / centre - 1) * LIGHT_KMS), spectra.window.fit, "fit", 2, [6, 4]);
      panel.frame(4, 3);
      if (!near.some(Number.isFinite)) context.fillText("no data", panel.place.left + 6, 34);
    });
  }

  function draw() {
    if (!shown || !spectra) { ["whole", "window", "lines"].forEach((name) => sheet(byId(name))); return; }
    drawSpectrum("whole", `whole spectrum${meanOf(half("whole"))}`);
    drawSpectrum("window", `window searched, and the fit${meanOf(half("window"))}`);
    drawLines();
  }

  // The surroundings of the line, in a window that may be as wide as the spectrum.
  function usual() {
    const wave = shown?.plot?.wave;
    return wave ? { window: [wave - 150, wave + 150] } : {};
  }

  function zoom() {
    if (!shown?.plot?.wave) return;
    const wave = shown.plot.wave;
    views = { whole: [wave - 400, wave + 400], window: [wave - 40, wave + 40] };
    draw();
  }

  function setZ(value) {
    if (!(value >= 0 && value <= 20)) return;
    z = value;
    byId("z").value = z.toFixed(4);
    draw();
  }

  const isLine = (name) => () => {
    const line = shown?.plot?.source.find(([text]) => text.startsWith(name));
    if (line && Number.isFinite(picked)) setZ(picked / line[1] - 1);
  };

  function hypothesis(number) {
    const found = shown.hypotheses[number - 1];
    if (!found) return;
    say("hypothesis", shown.own.hypothesis === found[0] ? "" : found[0]);
    if (found[1] !== null) setZ(found[1]);
  }

  function issue(name) {
    const issues = shown.own.issues, set = issues.includes(name);
    say("issue", (set ? "-" : "+") + name);
    state({ own: { ...shown.own, issues: set ? issues.filter((one) => one !== name) : [...issues, name] }, answer: shown.answer });
  }

  function grade(value) {
    say("grade", value);
    state({ own: { ...shown.own, grade: value } });
  }

  function back() { const all = new URLSearchParams(asked); all.delete("hit"); location.href = `./?${all}`; }

  const keys = {
    a: () => grade("A"), b: () => grade("B"), c: () => grade("C"), x: () => grade("X"), 0: () => grade(""),
    n: () => show(shown.next[0]), ArrowRight: () => show(shown.next[0]),
    p: () => show(shown.previous), ArrowLeft: () => show(shown.previous),
    u: () => Saving.undo(),
    e: () => byId("comment").focus(), r: () => { byId("z").focus(); byId("z").select(); },
    s: () => { smoothing = Math.min(20, smoothing + 1); draw(); },
    d: () => { smoothing = Math.max(0, smoothing - 1); draw(); },
    l: zoom, f: () => { views = {}; draw(); },
    ArrowUp: () => setZ((1 + z) * (1 + PIXEL) - 1), ArrowDown: () => setZ((1 + z) * (1 - PIXEL) - 1),
    y: isLine("Ly"), o: isLine("[O II]"), i: isLine("[O III] 5008"), h: isLine("H\u03b1"),
    v: () => { if (Number.isFinite(z)) say("z_source", z.toFixed(5)); },
    m: () => { looking = !looking; sky(); },
    w: () => { peek = !peek; sessionStorage.setItem("peek", peek ? "1" : "0"); ready.clear(); return show(shown.hit); },
    "/": () => { const all = new URLSearchParams(asked); all.delete("hit"); location.href = `./?${all}#search`; },
    q: back, "?": () => byId("keys").showModal(),
  };
  for (const [key, name] of Object.entries(ISSUES)) keys[key] = () => issue(name);
  for (let number = 1; number < 10; number++) keys[number] = () => hypothesis(number);

  document.addEventListener("keydown", (event) => {
    const act = keys[pressed(event)];
    if (!act || !shown || byId("keys").open) return;
    event.preventDefault();
    going = going.then(act).catch((error) => { byId("said").textContent = error.message; });
  });
  byId("comment").addEventListener("keydown", (event) => {
    if (event.key === "Enter") { const text = event.target.value.replace(/\s+/g, " ").trim(); say("comment", text); event.target.blur(); }
    if (event.key === "Escape") { event.target.value = shown.own.comment; event.target.blur(); }
  });
  byId("z").addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === "Escape") { if (event.key === "Enter") setZ(parseFloat(event.target.value)); event.target.blur(); }
  });
  byId("help").addEventListener("click", () => byId("keys").showModal());
  byId("gallery").addEventListener("click", (event) => { event.preventDefault(); back(); });
  document.querySelectorAll("#grades button").forEach((one) => one.addEventListener("click", () => shown && grade(one.dataset.grade)));
  document.querySelectorAll("#issues button").forEach((one) => one.addEventListener("click", () => shown && issue(one.dataset.issue)));

  for (const name of ["whole", "window"]) {
    const canvas = byId(name);
    let from = null;
    const waveAt = (event) => {
      const p = canvas.panel, left = event.clientX - canvas.getBoundingClientRect().left;
      return p.x[0] + ((left - p.place.left) / p.place.width) * (p.x[1] - p.x[0]);
    };
    canvas.addEventListener("wheel", (event) => {
      if (!canvas.panel) return;
      event.preventDefault();
      const at = waveAt(event), by = event.deltaY > 0 ? 1.25 : 0.8;
      views[name] = canvas.panel.x.map((end) => at + (end - at) * by);
      draw();
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => { if (canvas.panel) { from = { wave: waveAt(event), x: canvas.panel.x, moved: false, at: event.clientX }; canvas.setPointerCapture(event.pointerId); } });
    canvas.addEventListener("pointermove", (event) => {
      if (!from || Math.abs(event.clientX - from.at) < 3) return;
      from.moved = true;
      const shift = ((from.at - event.clientX) / canvas.panel.place.width) * (from.x[1] - from.x[0]);
      views[name] = from.x.map((end) => end + shift);
      draw();
    });
    canvas.addEventListener("pointerup", () => { if (from && !from.moved) { picked = from.wave; draw(); } from = null; });
    canvas.addEventListener("dblclick", () => { delete views[name]; draw(); });
  }

  Saving.onSaved((act, saved) => {
    if (saved.own && shown && saved.own.subject === shown.hit) state({ own: saved.own, answer: saved.answer });
    if (act.address === "api/undo" && saved.hit) { ready.delete(saved.hit); show(saved.hit); }
  });
  window.addEventListener("resize", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  show(asked.get("hit"));
})();
