// Low-Confidence Queue: one doubt after another, those that matter most first.

import { actionList, suggestionList } from "./detail.js";
import { Roster } from "./roster.js";
import { NOTHING, toggled } from "./selection.js";
import { showPicture } from "./wall.js";
import { clock, counted, lasting, make, percent } from "./words.js";

const WORST = 500; // faces of an entity that are asked for; those in doubt are among the worst

export class DoubtsPage {
  constructor(desk) {
    Object.assign(this, { desk, at: 0, cursor: 0, selected: NOTHING, later: new Set(), exact: false });
    this.roster = new Roster({ label: "Doubts", fill: (row, d) => this.#fillRow(row, d), pick: (d) => this.#open(this.items.indexOf(d)) });
    this.left = make("nav", { className: "left" }, (this.left_head = make("header", { className: "head" })), this.roster.element);
    this.centre = make("section", { className: "centre scrolls" });
    this.right = make("aside", { className: "right" });
  }

  get panes() {
    return [this.left, this.centre, this.right];
  }

  /** Doubts that wait, those put off at the end. */
  get items() {
    const { view, server } = this.desk;
    const waiting = (server.doubts ?? []).filter((d) => !d.piece_ids.every((p) => view.gone.has(p) || view.pinned.has(p)));
    const put = (d) => this.later.has(nameOf(d));
    return [...waiting.filter((d) => !put(d)), ...waiting.filter(put)];
  }

  get doubt() {
    return this.items[this.at];
  }

  /** The queue, and faces of who the open doubt is about, which say where in their frames they are. */
  get wants() {
    if (!this.desk.server.doubts) return { lists: true };
    const id = this.doubt?.entity_id;
    return id && !this.desk.server.faces.has(id) ? { faces: [id], limit: WORST } : {};
  }

  get face() {
    const { doubt } = this;
    if (!doubt) return undefined;
    const det_id = doubt.det_ids[this.cursor] ?? doubt.rep_det_id;
    const known = this.desk.server.faces.get(doubt.entity_id)?.rows.find((f) => f.det_id === det_id);
    return known ?? { det_id, ts_ms: doubt.ts_ms, box: null, entity_id: doubt.entity_id };
  }

  get target() {
    const { doubt } = this;
    if (!doubt) return null;
    const entity = this.desk.view.entities.get(doubt.entity_id);
    if (!entity) return null;
    const subject = this.selected.ids.size ? { faces: [...this.selected.ids] } : { pieces: doubt.piece_ids };
    const label = this.selected.ids.size ? counted(this.selected.ids.size, "face") : counted(doubt.piece_ids.length, "track");
    return { subject, entity, label: `${label} of ${entity.name}`, partial: true, candidates: doubt.candidates };
  }

  acted() {
    this.cursor = 0;
    this.selected = NOTHING;
  }

  run({ name, key }) {
    const { doubt } = this;
    const ids = doubt?.det_ids ?? [];
    if (name === "next" || name === "previous") this.#open(this.at + (name === "next" ? 1 : -1));
    else if (name === "unsure" && doubt) {
      this.later.add(nameOf(doubt));
      this.desk.say("Put off to the end of the queue.");
    } else if (name === "arrow") this.cursor = Math.max(0, Math.min(ids.length - 1, this.cursor + (key === "ArrowLeft" || key === "ArrowUp" ? -1 : 1)));
    else if (name === "select" && doubt) this.selected = toggled(this.selected, ids[this.cursor]);
    else if (name === "escape") this.selected = NOTHING;
    else return false;
    this.render();
    return true;
  }

  render() {
    const { items } = this;
    this.at = Math.max(0, Math.min(this.at, items.length - 1));
    const waitingMs = items.reduce((sum, d) => sum + 1000 * d.seconds, 0);
    this.left_head.replaceChildren(make("h2", { textContent: items.length ? counted(items.length, "doubt") : "No doubts" }),
      make("p", { className: "faint", textContent: `${lasting(waitingMs)} at stake, most first` }));
    this.roster.show([["", items]]);
    this.roster.reveal(this.doubt);
    if (!this.desk.server.doubts) this.#say("Loading…", "");
    else if (!this.doubt) this.#say("Nothing is in doubt.", "All that was found is either sure or reviewed. Merge Suggestions may still hold pairs; All Faces shows everyone.");
    else this.#renderDoubt();
  }

  close() {
    this.roster.close();
  }

  #open(index) {
    this.at = Math.max(0, Math.min(index, this.items.length - 1));
    this.cursor = 0;
    this.selected = NOTHING;
    this.render();
  }

  #say(title, text) {
    this.centre.replaceChildren(make("div", { className: "nothing" }, make("h2", { textContent: title }), make("p", { textContent: text })));
    this.right.replaceChildren();
  }

  #fillRow(row, doubt) {
    const open = doubt === this.doubt;
    row.classList.toggle("open", open);
    row.setAttribute("aria-selected", String(open));
    const entity = this.desk.view.entities.get(doubt.entity_id);
    row.replaceChildren(make("div", { className: "face" }), make("div", { className: "lines" },
      make("div", { className: "name", textContent: entity?.name ?? "" }), make("div", { className: "faint", textContent: doubt.reason })),
    make("div", { className: "signs" }, make("span", { className: "sign", textContent: lasting(1000 * doubt.seconds) }), this.later.has(nameOf(doubt)) ? make("span", { className: "sign", textContent: "put off" }) : ""));
    showPicture(row.querySelector(".face"), this.desk.thumb(doubt.rep_det_id), "");
  }

  #renderDoubt() {
    const { doubt, desk } = this;
    const entity = desk.view.entities.get(doubt.entity_id);
    const big = doubt.det_ids.map((id, i) => {
      const cell = make("div", {
        className: `big${i === this.cursor ? " cursor" : ""}${this.selected.ids.has(id) ? " selected" : ""}`, role: "option", "aria-selected": String(this.selected.ids.has(id)),
        on: { click: () => { this.cursor = i; this.selected = toggled(this.selected, id); this.render(); } },
      });
      showPicture(cell, desk.crop(id), `Face ${i + 1} in doubt`);
      return cell;
    });
    const known = make("div", { className: "known" });
    showPicture(known, desk.crop(entity?.rep_det_id), `A typical face of ${entity?.name}`);
    this.centre.replaceChildren(
      make("header", { className: "head" }, make("h2", { textContent: entity?.kind === "person" ? `Is this ${entity.name}?` : `Who is this? (in ${entity?.name})` }),
        make("span", { className: "faint", textContent: `${doubt.reason} · ${lasting(1000 * doubt.seconds)} from ${clock(doubt.ts_ms - desk.server.start_ms)}` })),
      make("div", { className: "bigs", role: "listbox", "aria-multiselectable": "true", "aria-label": "Faces in doubt" }, big),
      make("h3", { textContent: `${entity?.name} looks like this` }), known);
    const run = (name) => desk.run({ name });
    const person = entity?.kind === "person";
    this.right.replaceChildren(
      make("h3", { textContent: "Who is it?" }),
      person ? make("button", { type: "button", className: "primary", on: { click: () => run("accept") } }, `Yes, ${entity.name}`, make("kbd", { textContent: "Enter" })) : "",
      suggestionList(doubt.candidates, (n) => desk.run({ name: "take", digit: n })),
      actionList([["Search", "/", "search"], ["New person", "N", "new"], ["Split off", "S", "split"], ["Not a face", "X", "not_face"], ["Background", "B", "background"],
        ...(person ? [[`Not ${entity.name}`, "0", "not_person"]] : []), ["Unsure, later", "U", "unsure"], ["Full frame", "F", "frame"]], run),
      make("p", { className: "faint", textContent: `Uncertainty ${percent(doubt.uncertainty)}` }));
  }
}

const nameOf = (doubt) => doubt.piece_ids.join(" ");
