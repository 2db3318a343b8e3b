// All Faces: everyone on the left, one of them as a wall of faces, worst first, and who it may be on the right.

import { stage } from "./frame.js";
import { actionList, entityLine, faceFacts, lostDecisions, signs, suggestionList } from "./detail.js";
import { isThere, ordered, sectionOf, SECTIONS } from "./model.js";
import { Roster } from "./roster.js";
import { extended, kept, NOTHING, toggled } from "./selection.js";
import { showPicture, Wall } from "./wall.js";
import { button, clock, counted, lasting, make } from "./words.js";

const CELL = 96;
const SURE = 0.99; // beyond it, a few right faces are enough to believe the rest
const FIRST_FACES = 200; // faces that a wall starts with: more than a screen shows, and there at once
const MOST_FACES = 10_000; // on a wall

export class FacesPage {
  #focus = make("div", { className: "focus" });

  constructor(desk) {
    Object.assign(this, { desk, openId: null, chosen: NOTHING, selected: NOTHING, exact: false });
    this.roster = new Roster({ label: "Everyone in this episode", fill: (row, e) => this.#fillRow(row, e), pick: (e, event) => this.#pickRow(e, event) });
    this.wall = new Wall({
      smallest: CELL, label: "Faces, the farthest from the others first",
      fill: (cell, face) => this.#fillCell(cell, face),
      pick: (index, event) => this.#pickFace(index, event),
      look: (index) => this.#look(this.wall.items[index]),
    });
    this.head = make("header", { className: "head" });
    this.bar = make("div", { className: "bar" });
    this.note = make("div", { className: "note" });
    this.left = make("nav", { className: "left" }, (this.left_head = make("header", { className: "head" })), this.roster.element);
    this.centre = make("section", { className: "centre" }, this.head, this.bar, this.wall.element, this.note);
    this.right = make("aside", { className: "right" });
  }

  get panes() {
    return [this.left, this.centre, this.right];
  }

  /** Everyone, in the order of the list. */
  get items() {
    return ordered(this.desk.view.entities.values());
  }

  get entity() {
    return this.desk.view.entities.get(this.openId);
  }

  /** What the service must tell for this page. */
  get wants() {
    const block = this.desk.server.faces.get(this.openId);
    if (!this.entity) return {};
    if (!block) return { faces: [this.openId], limit: FIRST_FACES };
    const old = block.stale && this.desk.resting && !this.desk.queue.length;
    return old || isPart(block) ? { faces: [this.openId], limit: MOST_FACES } : {};
  }

  /** The face that F shows and Space selects. */
  get face() {
    return this.wall.current;
  }

  /** What an action is about: the selected faces, else the chosen rows, else who is open. */
  get target() {
    const { entity } = this;
    if (!entity) return null;
    if (this.selected.ids.size) {
      const faces = this.wall.items.filter((f) => this.selected.ids.has(f.det_id));
      const pieces = [...new Set(faces.map((f) => f.piece_id))];
      const subject = this.exact ? { faces: faces.map((f) => f.det_id) } : { pieces };
      const what = this.exact ? counted(faces.length, "face") : counted(pieces.length, "track");
      return { subject, entity, label: `${what} of ${entity.name}`, partial: true, candidates: entity.candidates };
    }
    const rows = this.rows;
    const label = rows.length > 1 ? counted(rows.length, "group") : entity.name;
    return { subject: { groups: rows.flatMap((e) => e.group_ids) }, entity, rows, label, partial: false, candidates: entity.candidates };
  }

  /** The chosen rows, in the list's order; who is open where none are. */
  get rows() {
    const chosen = this.items.filter((e) => this.chosen.ids.has(e.entity_id));
    return chosen.length ? chosen : [this.entity];
  }

  open(id) {
    if (!this.desk.view.entities.has(id)) return;
    this.selected = NOTHING;
    this.fresh = id !== this.openId;
    this.openId = id;
    this.desk.opened(id);
    this.render();
    this.roster.reveal(this.roster.lines.find((l) => l.item?.entity_id === id)?.item);
  }

  /** An action was taken on a target; `before` is the list as it was. Who is next in the same section comes up. */
  acted(before, target) {
    if (target?.partial) this.selected = NOTHING;
    if (!target || target.partial) return;
    this.chosen = NOTHING;
    const wasId = target.stays?.entity_id ?? target.entity.entity_id;
    const now = this.desk.view.entities.get(wasId);
    const at = before.findIndex((e) => e.entity_id === wasId);
    const section = sectionOf(before[at]);
    if (now && sectionOf(now) === section) return;
    const around = [...before.slice(at + 1), ...before.slice(0, at)].map((e) => this.desk.view.entities.get(e.entity_id));
    const next = around.find((e) => e && sectionOf(e) === section) ?? this.items[0];
    if (next) this.open(next.entity_id);
  }

  run(command) {
    const { name } = command;
    const step = { next: 1, previous: -1, next_too: 1, previous_too: -1 }[name];
    if (step) return this.#walk(step, name.endsWith("_too"));
    const face = this.face;
    if (name === "arrow") {
      const from = this.face;
      this.wall.step(command.key);
      if (command.shift && from && this.face) this.selected = extended(this.#anchored(from), this.face.det_id, this.wall.items.map((f) => f.det_id));
    } else if (name === "select" && face) this.selected = toggled(this.selected, face.det_id);
    else if (name === "select_all" && isPart(this.desk.server.faces.get(this.openId))) this.desk.say("The rest of the faces is on its way: press it again in a moment.");
    else if (name === "select_all") this.selected = { ids: new Set(this.wall.items.map((f) => f.det_id)), anchor: null };
    else if (name === "scope") this.exact = !this.exact;
    else if (name === "escape") {
      if (this.selected.ids.size) this.selected = NOTHING;
      else this.chosen = NOTHING;
    } else return false;
    this.render();
    return true;
  }

  render() {
    const { view, server } = this.desk;
    const order = this.items;
    if (!view.entities.has(this.openId)) {
      this.openId = order[0]?.entity_id ?? null;
      this.fresh = true;
      if (this.openId) this.desk.opened(this.openId);
    }
    this.#renderList(order);
    const block = server.faces.get(this.openId);
    const faces = (block?.rows ?? []).filter((f) => isThere(view, f));
    this.selected = kept(this.selected, new Set(faces.map((f) => f.det_id)));
    this.wall.show(faces, this.fresh);
    this.fresh = false;
    this.#renderHead(block, faces);
    this.#renderRight();
  }

  close() {
    this.roster.close();
    this.wall.close();
  }

  #anchored(face) {
    return this.selected.anchor ? this.selected : { ids: new Set([...this.selected.ids, face.det_id]), anchor: face.det_id };
  }

  #walk(by, too) {
    const order = this.items;
    const at = order.findIndex((e) => e.entity_id === this.openId);
    const next = order[Math.max(0, Math.min(order.length - 1, at + by))];
    if (!next) return true;
    this.chosen = too ? { ids: new Set([...this.chosen.ids, this.openId, next.entity_id]), anchor: this.openId } : NOTHING;
    this.open(next.entity_id);
    return true;
  }

  #pickRow(entity, event) {
    const id = entity.entity_id;
    if (event.ctrlKey || event.metaKey) this.chosen = toggled({ ids: new Set([...this.chosen.ids, this.openId]), anchor: null }, id);
    else if (event.shiftKey) this.chosen = extended({ ids: this.chosen.ids, anchor: this.openId }, id, this.items.map((e) => e.entity_id));
    else {
      this.chosen = NOTHING;
      return this.open(id);
    }
    this.render();
    return undefined;
  }

  #pickFace(index, event) {
    const id = this.wall.items[index].det_id;
    this.selected = event.shiftKey ? extended(this.selected, id, this.wall.items.map((f) => f.det_id)) : toggled(this.selected, id);
    this.wall.cursor = index;
    this.render();
  }

  #renderList(order) {
    const { server, view } = this.desk;
    const by = Map.groupBy(order, sectionOf);
    const naming = by.get("name")?.length ?? 0;
    const checking = by.get("check")?.length ?? 0;
    const done = order.length - naming - checking;
    const sure = order.filter((e) => e.looks > 0).length;
    this.left_head.replaceChildren(
      make("h2", { textContent: naming ? `${counted(naming, "group")} to name` : checking ? `${counted(checking, "name")} to check` : "Everyone is reviewed" }),
      make("p", { className: "faint", textContent: `${lasting(server.unresolved_ms)} without a name${view.locked ? " · ■ episode locked" : ""}` }),
      make("progress", { max: String(order.length || 1), value: String(done), "aria-label": `${done} of ${order.length} are done` }),
      sure > 1 ? make("p", { className: "faint", textContent: `${counted(sure, "name")} found surely: Line-up confirms them at once` }) : "",
      this.#lost(server));
    this.roster.show(SECTIONS.map(([id, title]) => [title, by.get(id) ?? []]));
  }

  // Made once for each view, so that it stays open while somebody reads it.
  #lost({ carried, start_ms }) {
    if (this.lostOf !== carried) Object.assign(this, { lostOf: carried, lostList: lostDecisions(carried?.lost ?? [], start_ms) });
    return this.lostList;
  }

  // A face in its frame, below the suggestions: the one under the mouse or, without it, under the cursor.
  #look(face) {
    if (this.looked?.det_id === face.det_id) return;
    this.desk.lookAt(face, () => {
      this.looked = face;
      const at = clock(face.ts_ms - this.desk.server.start_ms);
      this.#focus.replaceChildren(stage(face, this.desk.frameUrl(face), this.desk.server, `The frame at ${at}`, () => {}), faceFacts(face, this.desk.server.start_ms));
    });
  }

  #fillRow(row, entity) {
    const url = this.desk.thumb(entity.rep_det_id);
    const open = entity.entity_id === this.openId;
    row.classList.toggle("open", open);
    row.dataset.screenMs = entity.screen_ms;
    row.classList.toggle("chosen", this.chosen.ids.has(entity.entity_id));
    row.setAttribute("aria-selected", String(open || this.chosen.ids.has(entity.entity_id)));
    const text = make("div", { className: "lines" }, make("div", { className: "name", textContent: entity.name, title: entity.name }),
      make("div", { className: "faint" }, entityLine(entity)));
    const old = row.querySelector(".lines");
    if (old) {
      row.querySelector(".signs").remove();
      old.replaceWith(text);
    } else row.append(make("div", { className: "face" }), text);
    row.append(make("div", { className: "signs" }, signs(entity).filter((s) => !s.matches(".open, .done")))); // the section says so
    showPicture(row.querySelector(".face"), url, "");
  }

  #fillCell(cell, face) {
    const on = this.selected.ids.has(face.det_id);
    const along = !on && !this.exact && this.#pieces.has(face.piece_id);
    const pinned = face.pinned || this.desk.view.pinned.has(face.piece_id) || this.desk.view.pinned.has(face.det_id);
    cell.classList.toggle("selected", on);
    cell.classList.toggle("along", along);
    cell.classList.toggle("pinned", pinned);
    cell.classList.toggle("unsure", !pinned && face.score < SURE);
    cell.setAttribute("aria-selected", String(on));
    const at = clock(face.ts_ms - this.desk.server.start_ms);
    cell.setAttribute("aria-label", `Face at ${at}${pinned ? ", reviewed" : face.score < SURE ? ", unsure" : ""}${along ? ", same track as a selected face" : ""}`);
    cell.dataset.time = at;
    showPicture(cell, this.desk.thumb(face.det_id), "");
  }

  get #pieces() {
    if (this.piecesOf !== this.selected) {
      this.piecesOf = this.selected;
      this.pieceSet = new Set(this.wall.items.filter((f) => this.selected.ids.has(f.det_id)).map((f) => f.piece_id));
    }
    return this.pieceSet;
  }

  #renderHead(block, faces) {
    const { entity, desk } = this;
    if (!entity) {
      this.head.replaceChildren(make("h2", { textContent: "No faces" }));
      this.bar.replaceChildren();
      this.note.replaceChildren(make("p", { textContent: "No faces were found in this episode. Time on screen can still be entered on the page Manual Add." }));
      this.right.replaceChildren();
      return;
    }
    this.head.replaceChildren(make("h2", { textContent: entity.name }), ...signs(entity),
      make("span", { className: "faint", textContent: `${entity.screen_ms ? `screen time ${lasting(entity.screen_ms)} · ` : ""}seen ${lasting(entity.seen_ms)} · ${counted(entity.piece_count, "track")} · worst first · ${isPart(block) ? "loading the rest" : sureness(faces)}` }));
    const n = this.selected.ids.size;
    const scope = button(this.exact ? "Only these faces" : "Whole tracks", "T", () => desk.run({ name: "scope" }), { title: "What an action on selected faces is about" });
    const chosen = this.chosen.ids.size > 1;
    this.bar.replaceChildren(...(n
      ? [make("strong", { textContent: `${counted(n, "face")} selected` }), scope, button("Drop", "Esc", () => desk.run({ name: "escape" }))]
      : chosen
        ? [make("strong", { textContent: `${this.chosen.ids.size} rows chosen` }), button("Merge", "M", () => desk.run({ name: "merge" })), button("Drop", "Esc", () => desk.run({ name: "escape" }))]
        : [make("span", { className: "faint", textContent: "Click or Space selects a face, Shift a range. ? shows all keys." })]));
    this.note.replaceChildren(...(faces.length ? [] : [make("p", { textContent: !block ? "Loading faces…" : entity.face_count ? "All faces shown here were moved." : "No picture of these faces is kept any longer. The full frame (F) of the Low-Confidence Queue still shows them." })]));
  }

  #renderRight() {
    const { entity, desk, face } = this;
    if (!entity) return;
    const partial = this.selected.ids.size > 0;
    const person = entity.kind === "person";
    const run = (name) => desk.run({ name });
    const { rows } = this;
    const several = !partial && rows.length > 1;
    const open = (e) => e.kind === "person" && (e.auto || e.reviewed < 1);
    const confirm = !partial && (several ? rows.every((e) => e.kind === "person") && rows.some(open) : open(entity));
    const whom = several ? `all ${rows.length}` : entity.name;
    const candidates = entity.candidates.filter((c) => c.person_id !== entity.person_id);
    this.right.replaceChildren(
      make("h3", { textContent: partial ? "Who are the selected?" : several ? `Who are these ${rows.length}?` : person ? (confirm ? `Is all of this ${entity.name}?` : entity.name) : "Who is this?" }),
      confirm ? button(`Confirm ${whom}`, "Enter", () => run("accept"), { className: "primary" }) : "",
      person && !partial && !candidates.length ? "" : suggestionList(candidates, (n) => desk.run({ name: "take", digit: n })),
      actionList([
        ["Search", "/", "search"], ["New person", "N", "new"],
        ...(partial ? [["Split off", "S", "split"]] : [["Merge with…", "M", "merge"]]),
        ["Not a face", "X", "not_face"], ["Background", "B", "background"],
        ...(person ? [[`Not ${entity.name}`, "0", "not_person"], ["Rename", "R", "rename"]] : []),
        [entity.locked ? "Unlock" : "Lock", "L", "lock"],
      ], run),
      face ? this.#focus : "");
    if (face) this.#look(face);
  }
}

/** Are there faces of this entity that have not come yet? */
function isPart(block) {
  return block && block.rows.length < Math.min(block.total, MOST_FACES);
}

/** How much of a wall needs a look, in words. */
function sureness(faces) {
  const unsure = faces.filter((f) => !f.pinned && f.score < SURE).length;
  return unsure ? `${counted(unsure, "face")} less than 99 % sure` : "all at least 99 % sure";
}
