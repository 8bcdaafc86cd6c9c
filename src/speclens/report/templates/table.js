// Sorting and filtering over all rows of a table; without it the pages of the table stand as they are.
"use strict";

const waiting = {};

// Called by the script that holds the rows.
function speclensRows(kind, rows) { waiting[kind](rows); }

function element(name, content = [], attributes = {}, space = null) {
  const made = space ? document.createElementNS(space, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...content);
  return made;
}

function picture(line, size) {
  const svg = "http://www.w3.org/2000/svg";
  return element("svg", [
    element("path", [], { d: line[0] }, svg),
    element("path", [], { d: line[1], class: "fit" }, svg),
  ], { class: "line", viewBox: size }, svg);
}

class Table {
  constructor(table) {
    this.table = table;
    this.kind = table.dataset.kind;
    this.size = Number(table.dataset.size);
    this.heads = [...table.tHead.rows[0].cells];
    this.place = 0;
    this.wanted = "";
    this.rows = null;
    this.asked = [];
    this.heads.forEach((head, i) => {
      const button = element("button", [...head.childNodes], { type: "button" });
      head.append(button);
      button.addEventListener("click", () => this.sort(i));
    });
    if (Number(table.dataset.rows) < 10) return;
    const filter = element("input", [], {
      type: "search", class: "filter", placeholder: "show rows with \u2026",
      "aria-label": "show rows with this text, of all pages",
    });
    filter.addEventListener("input", () => {
      this.wanted = filter.value.toLowerCase();
      this.place = 0;
      this.load(() => this.show());
    });
    this.said = element("span", [], { class: "said" });
    table.parentElement.before(filter, this.said);
  }

  // The rows come when they are first asked for.
  load(then) {
    if (this.rows) return then();
    this.asked.push(then);
    if (this.asked.length > 1) return;
    waiting[this.kind] = rows => {
      this.rows = rows.map((cells, i) => ({ i, cells, text: this.text(cells) }));
      for (const next of this.asked) next();
    };
    document.head.append(element("script", [], { src: this.table.dataset.source }));
  }

  text(cells) {
    const words = cells.map(c => c.text ?? c);
    for (const cell of cells) for (const mark of cell.marks ?? []) words.push(mark[0]);
    return words.join("\n").toLowerCase();
  }

  sort(column) {
    const head = this.heads[column], numeric = head.classList.contains("n");
    const before = head.getAttribute("aria-sort");
    const up = before ? before === "descending" : !numeric;
    for (const other of this.heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    this.place = 0;
    this.load(() => { this.order(column, numeric, up ? 1 : -1); this.show(); });
  }

  order(column, numeric, sign) {
    const key = row => {
      const cell = row.cells[column];
      if (!numeric) return cell.text || (cell.marks ?? []).map(mark => mark[0]).join(" ") || String(cell.text ?? cell);
      return cell.value ?? parseFloat(cell.text ?? cell);
    };
    for (const row of this.rows) row.key = key(row);
    this.rows.sort((a, b) => {
      if (!numeric) return sign * a.key.localeCompare(b.key, "en", { numeric: true }) || a.i - b.i;
      // What is not known comes last, whichever way.
      if (isNaN(a.key) || isNaN(b.key)) return isNaN(a.key) - isNaN(b.key) || a.i - b.i;
      return sign * (a.key - b.key) || a.i - b.i;
    });
  }

  show() {
    const found = this.rows.filter(row => row.text.includes(this.wanted));
    const shown = found.slice(this.place, this.place + this.size);
    this.table.tBodies[0].replaceChildren(...shown.map(row => this.row(row.cells)));
    if (this.said) this.said.textContent = `${found.length} of ${this.rows.length} rows`;
    this.turn(found.length);
  }

  row(cells) {
    const row = element("tr");
    cells.forEach((cell, i) => {
      const content = [];
      if (cell.line) content.push(picture(cell.line, this.table.dataset.line));
      for (const [name, verdict, sentence] of cell.marks ?? [])
        content.push(element("span", [name], { class: `flag ${verdict}`, title: sentence }), " ");
      const text = cell.text ?? cell;
      if (text) content.push(cell.page ? element("a", [text], { href: cell.page }) : text);
      row.append(element("td", content, this.heads[i].className ? { class: this.heads[i].className } : {}));
    });
    return row;
  }

  // Pages of what is sorted and filtered take the place of those that were written.
  turn(n) {
    for (const pager of document.querySelectorAll(`nav.pager[data-kind="${this.kind}"]`)) pager.remove();
    if (n <= this.size) return;
    const go = (word, place, usable) => {
      const button = element("button", [word], { type: "button" });
      button.disabled = !usable;
      button.addEventListener("click", () => { this.place = place; this.show(); });
      return button;
    };
    const last = Math.min(n, this.place + this.size);
    this.table.parentElement.after(element("nav", [
      go("\u2190", this.place - this.size, this.place > 0),
      ` ${this.place + 1} to ${last} of ${n} `,
      go("\u2192", this.place + this.size, last < n),
    ], { class: "pager", "aria-label": "pages", "data-kind": this.kind }));
  }
}

for (const table of document.querySelectorAll("table.sortable")) new Table(table);
