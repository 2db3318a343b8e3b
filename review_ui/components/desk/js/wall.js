// A wall of pictures that may be ten thousand long: only what is on screen, and a little around it, exists as elements.

import { make } from "./words.js";
import { columnsIn, heightOf, placeOf, scrollTo, stepped, windowOf } from "./grid.js";

const GAP = 6;
const SPARE_ROWS = 3;

export class Wall {
  /**
   * @param {object} part smallest: size of a cell in pixels, at least; fill(cell, item, index): shows an item in an element that may have shown
   * another before; pick(index, event): somebody clicked it; label: what the wall is, for those who cannot see it.
   */
  constructor({ smallest, fill, pick, look, label }) {
    Object.assign(this, { smallest, cell: smallest, fill, look });
    this.items = [];
    this.cursor = 0;
    this.cells = new Map();
    this.sheet = make("div", { className: "sheet", role: "listbox", "aria-multiselectable": "true", "aria-label": label, tabIndex: -1 });
    this.element = make("div", { className: "wall" }, this.sheet);
    this.element.addEventListener("scroll", () => this.#soon(), { passive: true });
    this.sheet.addEventListener("click", (event) => {
      const at = event.target.closest("[data-index]");
      if (at) pick(Number(at.dataset.index), event);
    });
    this.sheet.addEventListener("mouseover", (event) => {
      const at = event.target.closest("[data-index]");
      if (at && this.look) this.look(Number(at.dataset.index));
    });
    this.resized = new ResizeObserver(() => this.render());
    this.resized.observe(this.element);
  }

  /** Show these; the cursor stays on its number, the wall stays where it is unless `fromTop`. */
  show(items, fromTop = false) {
    this.items = items;
    if (fromTop) {
      this.cursor = 0;
      this.element.scrollTop = 0;
    }
    this.cursor = Math.max(0, Math.min(this.cursor, items.length - 1));
    this.render();
  }

  /** Move the cursor by an arrow key, Home or End. */
  step(key) {
    this.moveTo(stepped(this.cursor, key, this.columns, this.items.length));
  }

  /** Put the cursor there and bring it into view. */
  moveTo(index) {
    this.cursor = index;
    const { scrollTop, clientHeight } = this.element;
    this.element.scrollTop = scrollTo(index, this.columns, this.cell, GAP, scrollTop, clientHeight);
    this.render();
  }

  /** The item under the cursor; undefined where there is none. */
  get current() {
    return this.items[this.cursor];
  }

  /** Bring the elements in line with the items, the cursor and the scroll position; `moved`: only the last has changed. */
  render(moved = false) {
    const { clientWidth, clientHeight, scrollTop } = this.element;
    this.columns = columnsIn(clientWidth, this.smallest, GAP);
    const { columns } = this;
    const cell = Math.max(this.smallest, Math.floor((clientWidth + GAP) / columns) - GAP); // no empty strip at the right
    if (cell !== this.cell) {
      moved = false;
      this.cell = cell;
      this.sheet.style.setProperty("--cell", `${cell}px`);
    }
    const count = this.items.length;
    this.sheet.style.height = `${heightOf(count, columns, cell, GAP)}px`;
    const { from, to } = windowOf({ count, columns, cell, gap: GAP, top: scrollTop, height: clientHeight, spare: SPARE_ROWS });
    const spare = this.#outside(from, to);
    for (let index = from; index < to; index++) {
      const there = this.cells.get(index);
      if (!there || !moved) this.#place(there ?? this.#reuse(spare.pop(), index), index);
    }
    for (const element of spare) element.remove();
  }

  /** Stop looking at the size. */
  close() {
    this.resized.disconnect();
  }

  #soon() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.render(true);
    });
  }

  #outside(from, to) {
    const outside = [];
    for (const [index, element] of this.cells) {
      if (index >= from && index < to) continue;
      this.cells.delete(index);
      outside.push(element);
    }
    return outside;
  }

  #reuse(element, index) {
    const cell = element ?? make("div", { className: "cell", role: "option" });
    if (!element) this.sheet.append(cell);
    this.cells.set(index, cell);
    return cell;
  }

  #place(element, index) {
    const { x, y } = placeOf(index, this.columns, this.cell, GAP);
    element.style.transform = `translate(${x}px, ${y}px)`;
    element.dataset.index = index;
    element.setAttribute("aria-posinset", index + 1);
    element.setAttribute("aria-setsize", this.items.length);
    element.classList.toggle("cursor", index === this.cursor);
    this.fill(element, this.items[index], index);
  }
}

/** Put a picture into a cell; a picture that is there already is not touched, one that is missing says so. */
export function showPicture(cell, url, alt) {
  let image = cell.querySelector("img");
  if (!image) {
    image = make("img", { decoding: "async", draggable: "false", width: "96", height: "96" });
    image.addEventListener("error", () => {
      cell.classList.add("missing");
      cell.dispatchEvent(new CustomEvent("picture-missing", { bubbles: true, composed: true }));
    });
    image.addEventListener("load", () => cell.classList.remove("missing"));
    cell.append(image);
  }
  if (image.dataset.url === url) return;
  cell.classList.remove("missing");
  image.dataset.url = url;
  image.alt = alt;
  image.src = url;
}
