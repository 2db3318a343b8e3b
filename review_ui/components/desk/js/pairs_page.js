// Pairs that may be one person: Pairwise shows one at a time, Merge Suggestions lists them by what is at stake.

import { entityLine, signs } from "./detail.js";
import { isThere, pairName } from "./model.js";
import { Roster } from "./roster.js";
import { showPicture } from "./wall.js";
import { button, clock, counted, lasting, make, percent } from "./words.js";

const FACES = 8;

export class PairsPage {
  constructor(desk, listed) {
    Object.assign(this, { desk, listed, at: 0, side: 0, later: new Set() });
    this.centre = make("section", { className: "centre scrolls pairs" });
    if (!listed) return;
    this.roster = new Roster({ label: "Pairs", fill: (row, p) => this.#fillRow(row, p), pick: (p) => this.#open(this.items.indexOf(p)) });
    this.left = make("nav", { className: "left wide" }, (this.left_head = make("header", { className: "head" })), this.roster.element);
  }

  get panes() {
    return this.listed ? [this.left, this.centre] : [this.centre];
  }

  /** Pairs that wait, those put off at the end. */
  get items() {
    const { view, server } = this.desk;
    const waits = (p) => {
      const [a, b] = this.#both(p);
      if (!a || !b || a === b || a.mark || b.mark) return false;
      return !a.group_ids.some((g) => b.group_ids.some((h) => view.pairs.has(pairName(g, h))));
    };
    const waiting = (server.suggestions ?? []).filter(waits);
    const put = (p) => this.later.has(pairName(p.entity_a, p.entity_b));
    return [...waiting.filter((p) => !put(p)), ...waiting.filter(put)];
  }

  get pair() {
    return this.items[this.at];
  }

  /** The list of pairs, and faces of those on screen and of the next, so that the next is there at once. */
  get wants() {
    if (!this.desk.server.suggestions) return { lists: true };
    const near = this.items.slice(this.at, this.at + 2).flatMap((p) => [p.entity_a, p.entity_b]);
    const missing = [...new Set(near)].filter((id) => !this.desk.server.faces.has(id));
    return missing.length ? { faces: missing, limit: FACES } : {};
  }

  get face() {
    const entity = this.pair && this.#both(this.pair)[this.side];
    return entity && this.#faces(entity)[0];
  }

  get target() {
    return null;
  }

  acted() {
    this.side = 0;
  }

  run({ name, key }) {
    const { pair, desk } = this;
    if (name === "next" || name === "previous") this.#open(this.at + (name === "next" ? 1 : -1));
    else if (!pair) return false;
    else if (name === "same" || name === "different") {
      const [a, b] = this.#both(pair);
      const operation = name === "same"
        ? { op: "merge", groups: [...a.group_ids, ...b.group_ids] }
        : { op: "refuse", group_a: a.group_ids[0], group_b: b.group_ids[0] };
      desk.act(operation, name === "same" ? `Merged ${a.name} and ${b.name}` : `${a.name} and ${b.name} are two people`);
    } else if (name === "arrow") {
      this.side = key === "ArrowLeft" ? 0 : key === "ArrowRight" ? 1 : this.side;
      this.render();
    } else if (name === "unsure") {
      this.later.add(pairName(pair.entity_a, pair.entity_b));
      desk.say("Put off to the end.");
      this.render();
    } else return false;
    return true;
  }

  render() {
    const { items, desk } = this;
    this.at = Math.max(0, Math.min(this.at, items.length - 1));
    if (this.listed) {
      const stake = items.reduce((sum, p) => sum + p.at_stake_ms, 0);
      this.left_head.replaceChildren(make("h2", { textContent: items.length ? counted(items.length, "pair") : "No pairs" }),
        make("p", { className: "faint", textContent: `${lasting(stake)} expected at stake` }));
      this.roster.show([["", items]]);
      this.roster.reveal(this.pair);
    }
    if (!desk.server.suggestions) this.#say("Loading…", "");
    else if (!this.pair) this.#say("No pairs to decide.", "Nobody else looks alike enough to ask. The Low-Confidence Queue shows what is still in doubt.");
    else this.#renderPair();
  }

  close() {
    this.roster?.close();
  }

  #both(pair) {
    return [pair.entity_a, pair.entity_b].map((id) => this.desk.view.entities.get(id));
  }

  #faces(entity) {
    const known = (this.desk.server.faces.get(entity.entity_id)?.rows ?? []).filter((f) => isThere(this.desk.view, f));
    const rep = known.find((f) => f.det_id === entity.rep_det_id) ?? { det_id: entity.rep_det_id, box: null, ts_ms: 0 };
    return [rep, ...known.filter((f) => f !== rep)].slice(0, FACES);
  }

  #open(index) {
    this.at = Math.max(0, Math.min(index, this.items.length - 1));
    this.render();
    this.desk.sync();
  }

  #say(title, text) {
    this.centre.replaceChildren(make("div", { className: "nothing" }, make("h2", { textContent: title }), make("p", { textContent: text })));
  }

  #fillRow(row, pair) {
    row.classList.toggle("open", pair === this.pair);
    row.setAttribute("aria-selected", String(pair === this.pair));
    const [a, b] = this.#both(pair);
    row.replaceChildren(make("div", { className: "face" }), make("div", { className: "face" }), make("div", { className: "lines" },
      make("div", { className: "name", textContent: `${a.name} + ${b.name}` }),
      make("div", { className: "faint", textContent: `${percent(pair.probability)} one person · ${lasting(pair.at_stake_ms)}${this.later.has(pairName(pair.entity_a, pair.entity_b)) ? " · put off" : ""}` })));
    const [left, right] = row.querySelectorAll(".face");
    showPicture(left, this.desk.thumb(a.rep_det_id), "");
    showPicture(right, this.desk.thumb(b.rep_det_id), "");
  }

  #renderPair() {
    const { pair, desk } = this;
    const run = (name) => () => desk.run({ name });
    const sides = this.#both(pair).map((entity, side) => this.#renderSide(entity, side));
    this.centre.replaceChildren(
      make("header", { className: "head" }, make("h2", { textContent: "Is this one person?" }),
        make("span", { className: "faint", textContent: `${this.at + 1} of ${this.items.length} · ${percent(pair.probability)} likely · ${lasting(pair.at_stake_ms)} expected at stake` })),
      make("div", { className: "sides" }, sides),
      make("div", { className: "verdict" }, button("Yes, one person", "Y", run("same"), { className: "primary" }),
        button("No, two people", "N", run("different")), button("Unsure", "U", run("unsure")), button("Full frame", "F", run("frame"))));
  }

  #renderSide(entity, side) {
    const { desk } = this;
    const [first, ...more] = this.#faces(entity);
    const big = make("div", { className: `big${side === this.side ? " cursor" : ""}`, on: { click: () => { this.side = side; this.render(); } } });
    showPicture(big, desk.crop(first.det_id), `A typical face of ${entity.name}`);
    const strip = make("div", { className: "strip" }, more.map((face) => {
      const cell = make("div", { className: "small", title: clock(face.ts_ms - desk.server.start_ms) });
      showPicture(cell, desk.thumb(face.det_id), "");
      return cell;
    }));
    return make("div", { className: "side" }, make("h3", { textContent: entity.name }), make("p", { className: "faint", textContent: entityLine(entity) }), big, strip, make("p", {}, signs(entity)));
  }
}
