// Manual Add: step through the frames, mark where somebody comes and goes, and say whether they are there.

import { actionList, entityLine, signs } from "./detail.js";
import { Roster } from "./roster.js";
import { around, moved } from "./steps.js";
import { Track } from "./track.js";
import { showPicture } from "./wall.js";
import { button, clock, lasting, make } from "./words.js";

const NEAR_MS = 60_000;
const STEPS = { ArrowLeft: { frames: -1 }, ArrowRight: { frames: 1 }, ArrowUp: { by: -10_000 }, ArrowDown: { by: 10_000 } };
const SHIFTED = { ArrowLeft: { by: -1000 }, ArrowRight: { by: 1000 }, ArrowUp: { by: -10_000 }, ArrowDown: { by: 10_000 } };
const FOUND = { auto: "found", reviewed: "reviewed", manual: "entered by hand" };

export class ManualPage {
  constructor(desk) {
    Object.assign(this, { desk, who: null, at: null, from: null, to: null, kind: "add" });
    this.roster = new Roster({ label: "People", fill: (row, p) => this.#fillRow(row, p), pick: (p) => this.choose(p) });
    this.left = make("nav", { className: "left" }, (this.left_head = make("header", { className: "head" })), this.roster.element);
    this.image = make("img", { alt: "The frame", on: { load: () => this.#loaded(), error: () => this.#loaded(true) } });
    this.missing = make("p", { className: "over", hidden: true, textContent: "This frame could not be read; the video may have been deleted." });
    this.stage = make("div", { className: "stage" }, this.image, this.missing);
    this.head = make("header", { className: "head" });
    this.whole = new Track("The whole episode", (ms) => this.seek(ms));
    this.near = new Track("The minute around this frame", (ms) => this.seek(ms));
    this.centre = make("section", { className: "centre manual" }, this.head, make("div", { className: "screen" }, this.stage), this.near.element, this.whole.element);
    this.right = make("aside", { className: "right" });
  }

  get panes() {
    return [this.left, this.centre, this.right];
  }

  /** People: those of the episode, most seen first, then the others of the show. */
  get items() {
    const here = [...this.desk.view.entities.values()].filter((e) => e.kind === "person" && !e.mark).sort((a, b) => b.seen_ms - a.seen_ms);
    const ids = new Set(here.map((e) => e.person_id));
    const others = [...this.desk.view.people.values()].filter((p) => !ids.has(p.person_id)).sort((a, b) => (a.name < b.name ? -1 : 1));
    const fresh = this.who && !this.who.person_id && !here.some((e) => e.name === this.who.name) ? [this.who] : [];
    return [...fresh, ...here, ...others];
  }

  get wants() {
    return this.desk.server.spans && this.desk.server.timeline ? {} : { lists: true };
  }

  get face() {
    return undefined;
  }

  get target() {
    return null;
  }

  /** Somebody by name who was just made has an id by now. */
  get person() {
    const { who } = this;
    return who && (this.items.find((p) => (who.person_id ? p.person_id === who.person_id : p.name === who.name)) ?? who);
  }

  acted() {}

  choose({ person_id = null, name }) {
    this.who = { person_id, name };
    this.render();
  }

  seek(ms) {
    this.at = moved(ms, {}, this.desk.server);
    this.render();
  }

  run(command) {
    const { name } = command;
    const act = {
      arrow: () => { this.at = moved(this.at, (command.shift ? SHIFTED : STEPS)[command.key] ?? this.#edge(command.key), this.desk.server); },
      next: () => this.#walk(1), previous: () => this.#walk(-1),
      mark_in: () => { this.from = this.at; if (this.to !== null && this.to <= this.from) this.to = null; },
      mark_out: () => { this.to = moved(this.at, { frames: 1 }, this.desk.server); if (this.to === this.at) this.to += Math.round(1000 / this.desk.server.fps); if (this.from !== null && this.from >= this.to) this.from = null; },
      kind: () => { this.kind = this.kind === "add" ? "trim" : "add"; },
      save: () => this.#save(),
      remove: () => this.#removeHere(),
      search: () => this.#search(), new: () => this.#new(),
      escape: () => { this.from = this.to = null; },
    }[name];
    if (!act) return false;
    act();
    this.render();
    return true;
  }

  render() {
    const { server } = this.desk;
    if (!server.fps) return;
    this.at ??= server.start_ms;
    const { items } = this;
    if (!this.who && items.length) this.who = { person_id: items[0].person_id, name: items[0].name };
    this.left_head.replaceChildren(make("h2", { textContent: "Who is it?" }), make("p", { className: "faint", textContent: "J and K walk, / searches, N is somebody new" }));
    this.roster.show([["", items]]);
    this.roster.reveal(this.person);
    this.#renderFrame();
    this.#renderTracks();
    this.#renderRight();
  }

  close() {
    this.roster.close();
  }

  #edge(key) {
    const far = this.desk.server.duration_ms;
    return { by: key === "Home" ? -far : far };
  }

  #walk(by) {
    const { items } = this;
    const at = items.indexOf(this.person);
    const next = items[Math.max(0, Math.min(items.length - 1, at + by))];
    if (next) this.choose(next);
  }

  #search() {
    this.desk.picker.ask({ title: "Who?", hint: "Search people of the show", named: this.items, fresh: (typed) => `New person “${typed}”`,
      chosen: ({ person_id, name, typed }) => this.choose({ person_id, name: name ?? typed }) });
  }

  #new() {
    this.desk.picker.ask({ title: "New person", hint: "Name", named: [], fresh: (typed) => `Name them “${typed}”`, chosen: ({ typed }) => this.choose({ name: typed }) });
  }

  #save() {
    const { person, from, to, kind, desk } = this;
    if (!person) return desk.say("Say who first: / searches, N is somebody new.");
    if (from === null || to === null) return desk.say("Mark where it begins with I, and the last frame with O.");
    const who = person.person_id ? { person: person.person_id } : { name: person.name };
    desk.act({ op: "add_span", ...who, kind, start_ms: from, end_ms: to }, `${person.name}: ${kind === "add" ? "added" : "took away"} ${lasting(to - from)} at ${clock(from - desk.server.start_ms)}`);
    this.from = this.to = null;
    return undefined;
  }

  get #mine() {
    const { person } = this;
    return this.desk.view.spans.filter((s) => person && (s.person_id ? s.person_id === person.person_id : s.name === person.name)).sort((a, b) => a.start_ms - b.start_ms);
  }

  #removeHere() {
    const here = this.#mine.find((s) => s.start_ms <= this.at && this.at < s.end_ms);
    if (here) this.#remove(here);
    else this.desk.say("No interval that was entered by hand is at this frame.");
  }

  #remove(span) {
    if (span.waiting) this.desk.say("It is still being saved. Z takes it back.");
    else this.desk.act({ op: "remove_span", span: span.id }, `Removed the interval at ${clock(span.start_ms - this.desk.server.start_ms)} of ${span.name}`);
  }

  #renderFrame() {
    const { server } = this.desk;
    this.stage.style.setProperty("--ratio", `${server.width} / ${server.height}`);
    this.stage.style.setProperty("--ratio-number", server.width / server.height);
    this.head.replaceChildren(make("h2", { className: "time", textContent: clock(this.at - server.start_ms) }),
      make("span", { className: "faint", textContent: `of ${clock(server.duration_ms)}` }), ...this.#jumps());
    if (!this.loading) this.#load();
  }

  // One frame is fetched at a time; while somebody steps on, those between are left out.
  #load() {
    if (this.shownAt === this.at) return;
    this.loading = true;
    this.shownAt = this.at;
    this.image.src = this.desk.frameUrl({ ts_ms: this.at });
  }

  #loaded(failed = false) {
    this.loading = false;
    this.missing.hidden = !failed;
    this.#load();
  }

  #jumps() {
    const jump = (label, title, key, shift) => button(label, null, () => this.desk.run({ name: "arrow", key, shift }), { title, "aria-label": title });
    return [make("div", { className: "jumps" }, jump("−10 s", "10 seconds back (Up)", "ArrowUp"), jump("−1 s", "1 second back (Shift+Left)", "ArrowLeft", true), jump("◂", "1 frame back (Left)", "ArrowLeft"),
      jump("▸", "1 frame on (Right)", "ArrowRight"), jump("+1 s", "1 second on (Shift+Right)", "ArrowRight", true), jump("+10 s", "10 seconds on (Down)", "ArrowDown"))];
  }

  #renderTracks() {
    const { server } = this.desk;
    const { person } = this;
    const said = (s) => `${clock(s.start_ms - server.start_ms)} to ${clock(s.end_ms - server.start_ms)}`;
    const found = (server.timeline ?? []).filter((i) => i.person === person?.name).map((i) => ({ ...i, kind: i.source, title: `${FOUND[i.source]}: ${said(i)}` }));
    const spans = this.#mine.map((s) => ({ ...s, kind: `span ${s.kind}`, title: `${s.kind === "add" ? "added" : "taken away"} by hand: ${said(s)}` }));
    const marked = this.from === null && this.to === null ? [] : [{ kind: "marked", start_ms: this.from ?? this.to - 1, end_ms: this.to ?? this.from + 1, title: "marked" }];
    const pieces = [...found, ...spans, ...marked];
    this.near.show(around(this.at, Math.min(NEAR_MS, server.duration_ms), server), pieces, this.at, server.start_ms);
    this.whole.show([server.start_ms, server.start_ms + server.duration_ms], pieces, this.at, server.start_ms);
  }

  #fillRow(row, person) {
    const open = person === this.person;
    row.classList.toggle("open", open);
    row.setAttribute("aria-selected", String(open));
    const about = person.group_ids ? entityLine(person) : person.person_id ? "not found in this episode" : "new";
    row.replaceChildren(make("div", { className: "face" }), make("div", { className: "lines" }, make("div", { className: "name", textContent: person.name }), make("div", { className: "faint", textContent: about })),
      make("div", { className: "signs" }, person.group_ids ? signs(person) : ""));
    const face = row.querySelector(".face");
    if (person.rep_det_id) showPicture(face, this.desk.thumb(person.rep_det_id), "");
    else face.classList.add("missing");
  }

  #renderRight() {
    const { person, desk, from, to } = this;
    const start = desk.server.start_ms;
    const run = (name) => desk.run({ name });
    if (!person) {
      this.right.replaceChildren(make("h3", { textContent: "Nobody has a name yet" }), make("p", { className: "faint", textContent: "Name somebody with N, or name the faces that were found on the page All Faces." }));
      return;
    }
    const when = (ms) => (ms === null ? "–" : clock(ms - start));
    const choice = (kind, text) => make("label", { className: "choice" },
      make("input", { type: "radio", name: "kind", value: kind, ...(this.kind === kind ? { checked: true } : {}), on: { change: () => { this.kind = kind; this.desk.refresh(); } } }), text);
    const mine = this.#mine;
    this.right.replaceChildren(
      make("h3", { textContent: person.name }),
      make("p", { className: "faint", textContent: person.screen_ms === undefined ? "No screen time in this episode yet" : `Screen time ${lasting(person.screen_ms)}` }),
      make("fieldset", {}, make("legend", { textContent: "In the marked interval they are" }), choice("add", "on screen, though not found"), choice("trim", "not on screen, though found")),
      make("dl", { className: "facts" }, make("dt", { textContent: "From" }), make("dd", { textContent: when(from) }), make("dt", { textContent: "To" }), make("dd", { textContent: when(to) }),
        make("dt", { textContent: "Length" }), make("dd", { textContent: from === null || to === null ? "–" : lasting(to - from) })),
      actionList([["Begins here", "I", "mark_in"], ["Last frame", "O", "mark_out"], ["Switch", "T", "kind"], ["Drop marks", "Esc", "escape"]], run),
      button(this.kind === "add" ? "Add the interval" : "Take it away", "Enter", () => run("save"), { className: "primary" }),
      make("h3", { textContent: "Entered by hand" }),
      mine.length ? make("ul", { className: "spans" }, mine.map((s) => make("li", {},
        button(`${s.kind === "add" ? "+" : "−"} ${clock(s.start_ms - start)} – ${clock(s.end_ms - start)}`, null, () => this.seek(s.start_ms), { title: "Go there" }),
        make("span", { className: "faint", textContent: s.waiting ? "saving" : lasting(s.end_ms - s.start_ms) }),
        button("Remove", null, () => this.#remove(s), { "aria-label": `Remove the interval at ${clock(s.start_ms - start)}` }))))
        : make("p", { className: "faint", textContent: "Nothing yet." }));
  }
}
