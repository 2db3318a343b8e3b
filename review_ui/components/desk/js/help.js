// The list of keys.

import { button, keycap, make } from "./words.js";
import { keysOf, moreHelp } from "./keys.js";

export class Help {
  constructor(layer, mode) {
    Object.assign(this, { layer, mode, open: false });
  }

  toggle() {
    if (this.open) return this.close();
    const rows = [...moreHelp(this.mode), ...keysOf(this.mode).map(([, , shown, does]) => [shown, does])];
    const list = make("dl", {}, rows.flatMap(([shown, does]) => [make("dt", {}, keycap(shown)), make("dd", { textContent: does })]));
    this.box = make("div", { className: "help", role: "dialog", "aria-label": "Keys of this page" },
      make("h2", { textContent: "Keys of this page" }), list, button("Close", "Esc", () => this.close()));
    this.layer.append(this.box);
    this.open = true;
  }

  close() {
    if (!this.open) return;
    this.open = false;
    this.box.remove();
  }
}
