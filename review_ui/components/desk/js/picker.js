// A line to type into, with what it finds below: people to assign to, rows to merge with, a new name.

import { make } from "./words.js";
import { found } from "./model.js";

let numbers = 0;

export class Picker {
  /** layer: where it is put; closed(): it is gone, the keyboard is the desk's again. */
  constructor(layer, closed) {
    Object.assign(this, { layer, closed, open: false });
  }

  /**
   * Ask. title: what for; named: [{name, note?, …}] to choose from; fresh(name): label of the row that takes what was
   * typed as it is, null for none; chosen(item or {typed}): the answer; value: what the line begins with.
   */
  ask({ title, hint, named, fresh, chosen, value = "" }) {
    this.close();
    const id = `picker-${++numbers}`;
    Object.assign(this, { named, fresh, chosen, at: 0, open: true, id });
    this.input = make("input", {
      type: "text", value, placeholder: hint, maxlength: "120", autocomplete: "off", spellcheck: "false", role: "combobox",
      "aria-expanded": "true", "aria-controls": id, "aria-label": title,
      on: { input: () => this.#typed(), keydown: (event) => this.#key(event), blur: () => setTimeout(() => this.#left(), 120) },
    });
    this.list = make("ul", { id, role: "listbox", "aria-label": title });
    this.box = make("div", { className: "picker", role: "dialog", "aria-label": title },
      make("label", { textContent: title }), this.input, this.list);
    this.layer.append(this.box);
    this.#typed();
    this.input.focus();
    this.input.select();
  }

  /** Away with it. */
  close() {
    if (!this.open) return;
    this.open = false;
    this.box.remove();
    this.closed();
  }

  #left() {
    if (this.open && !this.box.contains(this.box.getRootNode().activeElement)) this.close();
  }

  #typed() {
    const typed = this.input.value.trim();
    const hits = found(this.named, typed);
    const same = hits.some((one) => one.name.toLowerCase() === typed.toLowerCase());
    const label = typed && !same && this.fresh ? this.fresh(typed) : null;
    this.rows = [...hits.map((item) => ({ item, name: item.name, note: item.note ?? "" })), ...(label ? [{ item: { typed }, name: label, note: "" }] : [])];
    this.at = 0;
    this.#draw();
  }

  #draw() {
    const rows = this.rows.map((row, i) => make("li", {
      id: `${this.id}-${i}`, role: "option", className: i === this.at ? "at" : "", "aria-selected": String(i === this.at),
      on: { mousedown: (event) => { event.preventDefault(); this.#choose(row); } },
    }, make("span", { textContent: row.name }), make("span", { className: "faint", textContent: row.note })));
    const none = make("li", { className: "faint", textContent: this.fresh ? "Type a name." : "Nobody of that name." });
    this.list.replaceChildren(...(rows.length ? rows : [none]));
    this.input.setAttribute("aria-activedescendant", rows.length ? `${this.id}-${this.at}` : "");
  }

  #key(event) {
    event.stopPropagation();
    if (event.isComposing) return;
    if (event.key === "Escape") this.close();
    else if (event.key === "Enter" && this.rows[this.at]) this.#choose(this.rows[this.at]);
    else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const by = event.key === "ArrowDown" ? 1 : -1;
      this.at = this.rows.length ? (this.at + by + this.rows.length) % this.rows.length : 0;
      this.#draw();
    } else return;
    event.preventDefault();
  }

  #choose({ item }) {
    const { chosen } = this;
    this.close();
    chosen(item);
  }
}
