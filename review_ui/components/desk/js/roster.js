// The list on the left: sections of rows of one height, of which only those on screen exist.

import { make } from "./words.js";

const ROW = 52;
const SPARE = 6;

export class Roster {
  /** fill(row, item): shows an item; pick(item, event): somebody clicked it. */
  constructor({ fill, pick, label }) {
    this.fill = fill;
    this.lines = [];
    this.rows = new Map();
    this.sheet = make("div", { className: "sheet", role: "listbox", "aria-label": label });
    this.element = make("div", { className: "roster", tabIndex: 0 }, this.sheet);
    this.element.addEventListener("scroll", () => this.#soon(), { passive: true });
    this.sheet.addEventListener("click", (event) => {
      const at = event.target.closest("[data-line]");
      const line = at && this.lines[Number(at.dataset.line)];
      if (line?.item) pick(line.item, event);
    });
    this.resized = new ResizeObserver(() => this.render());
    this.resized.observe(this.element);
  }

  /** Show sections [title, items]; sections without items are left out. */
  show(sections) {
    this.lines = sections.flatMap(([title, items]) =>
      items.length ? [...(title ? [{ title, count: items.length }] : []), ...items.map((item) => ({ item }))] : []);
    this.render();
  }

  /** Bring an item into view. */
  reveal(item) {
    const index = this.lines.findIndex((l) => l.item === item);
    if (index < 0) return;
    const { scrollTop, clientHeight } = this.element;
    const top = this.lines[index - 1]?.title ? (index - 1) * ROW : index * ROW;
    if (top < scrollTop) this.element.scrollTop = top;
    else if ((index + 1) * ROW > scrollTop + clientHeight) this.element.scrollTop = (index + 1) * ROW - clientHeight;
    this.render();
  }

  /** Bring the elements in line with the lines and the scroll position. */
  render() {
    const { scrollTop, clientHeight } = this.element;
    const from = Math.max(0, Math.floor(scrollTop / ROW) - SPARE);
    const to = Math.min(this.lines.length, Math.ceil((scrollTop + clientHeight) / ROW) + SPARE);
    this.sheet.style.height = `${this.lines.length * ROW}px`;
    for (const [index, row] of this.rows) {
      if (index >= from && index < to) continue;
      row.remove();
      this.rows.delete(index);
    }
    for (let index = from; index < to; index++) this.#row(index);
  }

  /** Stop looking at the size. */
  close() {
    this.resized.disconnect();
  }

  #soon() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.render();
    });
  }

  #row(index) {
    const line = this.lines[index];
    let row = this.rows.get(index);
    if (row && Boolean(line.title) !== row.classList.contains("title")) {
      row.remove();
      row = null;
    }
    if (!row) {
      row = make("div", { className: line.title ? "title" : "row", role: line.title ? "presentation" : "option" });
      row.dataset.line = index;
      row.style.transform = `translateY(${index * ROW}px)`;
      this.sheet.append(row);
      this.rows.set(index, row);
    }
    if (line.title) row.replaceChildren(make("span", { textContent: line.title }), make("span", { className: "faint", textContent: String(line.count) }));
    else this.fill(row, line.item);
  }
}
