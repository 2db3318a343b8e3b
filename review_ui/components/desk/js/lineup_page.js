// Line-up: everyone whom the show knows and who was found surely, a row each: how they are known, and the faces
// that fit least. Whoever is somebody else is put aside; one key confirms all others.

import { entityLine } from "./detail.js";
import { isThere } from "./model.js";
import { showPicture } from "./wall.js";
import { button, clock, counted, lasting, make } from "./words.js";

const MOST = 4; // faces a row, at most

export class LineupPage {
  #rows = new Map();

  constructor(desk) {
    Object.assign(this, { desk, at: 0, face_at: 0, aside: new Aside(desk) });
    this.head = make("header", { className: "head" });
    this.list = make("div", { className: "lineup", role: "listbox", "aria-multiselectable": "true", "aria-label": "People found surely" });
    this.verdict = make("div", { className: "verdict" });
    this.centre = make("section", { className: "centre" }, this.head, this.list, this.verdict);
  }

  get panes() {
    return [this.centre];
  }

  /** Who was found surely, the longest seen first. */
  get items() {
    return [...this.desk.view.entities.values()].filter((e) => e.looks > 0)
      .sort((a, b) => b.seen_ms - a.seen_ms || (a.entity_id < b.entity_id ? -1 : 1));
  }

  get entity() {
    return this.items[this.at];
  }

  /** The faces of all rows. */
  get wants() {
    const missing = this.items.map((e) => e.entity_id).filter((id) => !this.desk.server.faces.has(id));
    return missing.length ? { faces: missing, limit: MOST } : {};
  }

  get face() {
    const { entity } = this;
    return entity && this.#faces(entity)[this.face_at];
  }

  get target() {
    return null;
  }

  acted() {
    this.at = 0;
    this.face_at = 0;
  }

  run({ name, key }) {
    const { entity } = this;
    if (!entity) return false;
    if (name === "next" || name === "previous") this.#step(name === "next" ? 1 : -1);
    else if (name === "aside") this.#toggle(entity);
    else if (name === "confirm") this.#confirm();
    else if (name === "arrow") this.#arrow(key);
    else return false;
    this.render();
    return true;
  }

  render() {
    const { items, desk } = this;
    this.at = Math.max(0, Math.min(this.at, items.length - 1));
    const right = items.filter((e) => !this.aside.has(e.entity_id));
    this.head.replaceChildren(make("h2", { textContent: items.length ? `${counted(items.length, "person", "people")} found surely` : "Nobody to confirm here" }),
      make("span", { className: "faint", textContent: items.length ? "Is anybody in the wrong row? Put that row aside, then confirm the rest." : "" }));
    this.#renderRows(items);
    const run = (name) => () => desk.run({ name });
    this.verdict.replaceChildren(...(items.length
      ? [right.length ? button(right.length === items.length && right.length > 1 ? `Confirm all ${right.length}` : `Confirm ${named(right)}`, "Enter", run("confirm"), { className: "primary" }) : "",
        button("Put aside, or back", "Space", run("aside")), button("Full frame", "F", run("frame"))]
      : [make("p", { className: "faint", textContent: "People whom earlier episodes taught the service to know come up here when all of their faces are at least 99 % sure. All Faces shows everyone." })]));
  }

  close() {}

  #step(by) {
    this.at = Math.max(0, Math.min(this.items.length - 1, this.at + by));
    this.face_at = 0;
    this.#rows.get(this.entity.entity_id)?.scrollIntoView({ block: "nearest" });
  }

  #arrow(key) {
    if (key === "ArrowUp" || key === "ArrowDown") return this.#step(key === "ArrowDown" ? 1 : -1);
    const last = this.#faces(this.entity).length - 1;
    this.face_at = Math.max(0, Math.min(last, this.face_at + (key === "ArrowLeft" ? -1 : 1)));
    return undefined;
  }

  #toggle(entity) {
    const aside = this.aside.toggle(entity.entity_id);
    if (aside) this.desk.say(`${entity.name} stays to be checked in All Faces.`);
  }

  #confirm() {
    const right = this.items.filter((e) => !this.aside.has(e.entity_id));
    if (!right.length) return this.desk.say("All rows are put aside: check them in All Faces.");
    this.desk.act({ op: "confirm", groups: right.flatMap((e) => e.group_ids) }, `Confirmed ${named(right)}`);
    return undefined;
  }

  #faces(entity) {
    const known = this.desk.server.faces.get(entity.entity_id)?.rows ?? [];
    return known.filter((f) => isThere(this.desk.view, f)).slice(0, entity.looks);
  }

  // Rows stay where they are while one is put aside, so that pictures are not loaded anew.
  #renderRows(items) {
    const rows = items.map((entity, index) => {
      const row = this.#rows.get(entity.entity_id) ?? newRow();
      row.onclick = () => {
        this.at = index;
        this.#toggle(entity);
        this.render();
      };
      this.#fill(row, entity, index === this.at);
      return [entity.entity_id, row];
    });
    this.#rows = new Map(rows);
    const order = rows.map(([, row]) => row);
    if (order.some((row, i) => row !== this.list.children[i]) || this.list.children.length !== order.length) this.list.replaceChildren(...order);
  }

  #fill(row, entity, open) {
    const { desk } = this;
    const aside = this.aside.has(entity.entity_id);
    const faces = this.#faces(entity);
    row.classList.toggle("open", open);
    row.classList.toggle("aside", aside);
    row.setAttribute("aria-selected", String(!aside));
    showPicture(row.querySelector(".known"), desk.known(entity.person_id), `${entity.name} as known from before`);
    const strip = row.querySelector(".worst");
    while (strip.children.length < faces.length) strip.append(make("div", { className: "big" }));
    while (strip.children.length > faces.length) strip.lastChild.remove();
    for (const [i, face] of faces.entries()) {
      const cell = strip.children[i];
      cell.classList.toggle("cursor", open && i === this.face_at);
      cell.title = clock(face.ts_ms - desk.server.start_ms);
      showPicture(cell, desk.crop(face.det_id), `Face at ${cell.title}`);
    }
    row.querySelector(".lines").replaceChildren(make("div", { className: "name", textContent: entity.name }),
      make("div", { className: "faint", textContent: `known from ${counted(entity.known_from, "episode")}` }),
      make("div", { className: "faint", textContent: `${entityLine(entity)} · screen time ${lasting(entity.screen_ms)}` }),
      make("div", { className: `sign ${aside ? "open" : "done"}`, textContent: aside ? "○ put aside" : "● to be confirmed" }));
  }
}

const newRow = () => make("div", { className: "suspect", role: "option" },
  make("figure", {}, make("div", { className: "known" }), make("figcaption", { className: "faint", textContent: "known as" })),
  make("div", { className: "worst" }), make("div", { className: "lines" }));

function named(people) {
  const names = people.slice(0, 2).map((e) => e.name);
  return people.length > 2 ? `${names.join(", ")} and ${people.length - 2} more` : names.join(" and ");
}

// Who is put aside; remembered by the browser, so that a reload does not offer them to be confirmed again.
class Aside {
  constructor({ storage, user, episode }) {
    Object.assign(this, { storage, key: `screenalyzer.desk.aside/${user}/${episode}` });
    try {
      this.ids = new Set(JSON.parse(this.storage.getItem(this.key) ?? "[]"));
    } catch {
      this.ids = new Set(); // what another program wrote there
    }
  }

  has(id) {
    return this.ids.has(id);
  }

  /** Put somebody aside, or back; returns whether they are aside now. */
  toggle(id) {
    const aside = !this.ids.delete(id);
    if (aside) this.ids.add(id);
    try {
      this.storage.setItem(this.key, JSON.stringify([...this.ids]));
    } catch {
      // a full storage forgets it at the next reload
    }
    return aside;
  }
}
