"use strict";
// Curves of a spectrum on a canvas: zoom by the wheel, pan by dragging, all of it by two clicks.
function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}

function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

// Mean over good pixels; a gap stays a gap.
function smoothed(values, half) {
  if (!half) return values;
  return values.map((value, i) => {
    if (Number.isNaN(value)) return NaN;
    let sum = 0, n = 0;
    for (let k = Math.max(0, i - half); k <= Math.min(values.length - 1, i + half); k++) {
      if (!Number.isNaN(values[k])) { sum += values[k]; n += 1; }
    }
    return sum / n;
  });
}

function ends(values, low, high) {
  const sorted = Float32Array.from(values.filter(Number.isFinite)).sort();
  if (!sorted.length) return [-1, 1];
  const at = (part) => sorted[Math.round(part * (sorted.length - 1))];
  const [bottom, top] = [at(low), at(high)];
  const room = 0.08 * Math.max(top - bottom, 1e-3 * Math.abs(top), 1e-6);
  return [bottom - room, top + room];
}

function ticks(low, high, n) {
  const least = (high - low) / n, power = 10 ** Math.floor(Math.log10(least));
  const step = [1, 2, 5, 10].map((s) => s * power).find((s) => s >= least);
  const found = [];
  for (let k = Math.ceil(low / step); k * step <= high; k++) found.push(k * step);
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return found.map((value) => [value, Math.abs(value) >= 1e6 ? value.toExponential(1) : value.toFixed(decimals)]);
}

class Panel {
  constructor(context, place, x, y) { Object.assign(this, { context, place, x, y }); }
  across(x) { return this.place.left + ((x - this.x[0]) / (this.x[1] - this.x[0])) * this.place.width; }
  down(y) { return this.place.top + ((this.y[1] - y) / (this.y[1] - this.y[0])) * this.place.height; }
  clipped(draw) {
    const { context: c, place: p } = this;
    c.save(); c.beginPath(); c.rect(p.left, p.top, p.width, p.height); c.clip(); draw(c); c.restore();
  }
  curve(x, y, style, width, dashes = []) {
    this.clipped((c) => {
      c.strokeStyle = color(style); c.lineWidth = width; c.setLineDash(dashes); c.beginPath();
      let down = false;
      for (let i = 0; i < x.length; i++) {
        if (x[i] < this.x[0] - 20 || x[i] > this.x[1] + 20 || Number.isNaN(y[i])) { down = false; continue; }
        if (down) c.lineTo(this.across(x[i]), this.down(y[i])); else c.moveTo(this.across(x[i]), this.down(y[i]));
        down = true;
      }
      c.stroke();
    });
  }
  band(x, half, style) {
    this.clipped((c) => {
      c.fillStyle = color(style);
      for (let i = 0; i < x.length; i++) {
        if (Number.isNaN(half[i]) || x[i] < this.x[0] - 20 || x[i] > this.x[1] + 20) continue;
        const width = Math.abs(this.across(x[i]) - this.across(x[i ? i - 1 : 1])) + 0.5;
        c.fillRect(this.across(x[i]) - width / 2, this.down(half[i]), width, this.down(-half[i]) - this.down(half[i]));
      }
    });
  }
  rule(x, style, text, row = 0, dashes = [3, 3]) {
    if (!(x > this.x[0] && x < this.x[1])) return;
    const { context: c, place: p } = this, across = this.across(x);
    c.save(); c.strokeStyle = c.fillStyle = color(style); c.setLineDash(dashes); c.beginPath();
    c.moveTo(across, p.top); c.lineTo(across, p.top + p.height); c.stroke();
    c.textAlign = "center"; c.fillText(text, across, p.top - 3 - 11 * row); c.restore();
  }
  // Many of them, named in whichever of these rows has room; where none has, the rule says enough.
  rules(marks, style, rows, dashes) {
    const ends = rows.map(() => -Infinity);
    for (const [text, x] of [...marks].sort((one, other) => one[1] - other[1])) {
      const half = this.context.measureText(text).width / 2, across = this.across(x);
      const free = ends.findIndex((end) => across - half > end + 4);
      if (free >= 0 && x > this.x[0] && x < this.x[1]) ends[free] = across + half;
      this.rule(x, style, free < 0 ? "" : text, rows[Math.max(free, 0)], dashes);
    }
  }
  shade(low, high, style) {
    this.clipped((c) => {
      c.fillStyle = color(style);
      c.fillRect(this.across(low), this.place.top, Math.max(1, this.across(high) - this.across(low)), this.place.height);
    });
  }
  frame(nX, nY) {
    const { context: c, place: p } = this;
    c.strokeStyle = c.fillStyle = color("soft"); c.lineWidth = 1; c.setLineDash([]);
    c.beginPath(); c.moveTo(p.left, p.top); c.lineTo(p.left, p.top + p.height); c.lineTo(p.left + p.width, p.top + p.height); c.stroke();
    c.textAlign = "center";
    for (const [value, text] of ticks(...this.x, nX)) c.fillText(text, this.across(value), p.top + p.height + 13);
    c.textAlign = "right";
    for (const [value, text] of nY ? ticks(...this.y, nY) : []) c.fillText(text, p.left - 4, this.down(value) + 4);
    c.textAlign = "left";
  }
}

// A canvas in the pixels of the screen, cleared.
function sheet(canvas) {
  const scale = window.devicePixelRatio || 1, height = Number(canvas.getAttribute("data-height") || canvas.height);
  canvas.setAttribute("data-height", height);
  const width = canvas.clientWidth || 600;
  canvas.style.height = `${height}px`;
  canvas.width = width * scale; canvas.height = height * scale;
  const context = canvas.getContext("2d");
  context.scale(scale, scale); context.clearRect(0, 0, width, height);
  context.font = "11px system-ui, sans-serif";
  return { context, width, height };
}
