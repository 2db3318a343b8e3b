// The desk: takes what the service said, shows the page, turns keys into actions, and keeps them until they are done.

import { DoubtsPage } from "./doubts_page.js";
import { FacesPage } from "./faces_page.js";
import { FrameView } from "./frame.js";
import { Help } from "./help.js";
import { LineupPage } from "./lineup_page.js";
import { commandOf, isPressing, isTyping } from "./keys.js";
import { EMPTY, shown, standing, withFaces, withResult, withView } from "./model.js";
import { naming } from "./naming.js";
import { ManualPage } from "./manual_page.js";
import { Notices } from "./notices.js";
import { PairsPage } from "./pairs_page.js";
import { Picker } from "./picker.js";
import { Queue } from "./queue.js";
import { make } from "./words.js";

const LOST_MS = 5000; // without an answer for so long, the connection is said to be lost
const AGAIN_MS = 3000; // what was not answered is sent again after
const HEAVY = 20_000; // characters of messages that are acknowledged at once, so that they are not sent twice
const LOOK_MS = 250; // a face that the mouse or the cursor stays on for so long is shown in its frame
const REST_MS = 700; // a wall that an edit has touched is fetched anew when the hands rest
const PICTURES_EVERY_MS = 30_000; // addresses of pictures expire; new ones are asked for at most so often

const PAGES = {
  faces: (desk) => new FacesPage(desk),
  lineup: (desk) => new LineupPage(desk),
  doubts: (desk) => new DoubtsPage(desk),
  merges: (desk) => new PairsPage(desk, true),
  pairs: (desk) => new PairsPage(desk, false),
  manual: (desk) => new ManualPage(desk),
};

export class Desk {
  /** root: where it is put; send(up): tells the pages' server; data: of the first delivery. */
  constructor(root, data, send, storage = window.localStorage) {
    Object.assign(this, { root, send, storage, mode: data.mode, user: data.user, episode: data.episode, server: EMPTY, seen: 0, asked: "", count: 0, numbers: new Map(), instance: String(Math.random()).slice(2) });
    this.queue = new Queue(storage, data.user, data.episode);
    this.view = shown(this.server, []);
    this.api = { ok: true, message: "" };
    this.heard = performance.now();
    this.notices = new Notices();
    this.layer = make("div", { className: "layer" });
    this.frame = new FrameView(this.layer);
    this.help = new Help(this.layer, this.mode);
    this.picker = new Picker(this.layer, () => this.element.focus({ preventScroll: true }));
    this.page = PAGES[this.mode](this);
    this.element = make("div", { className: `desk ${this.mode}`, tabIndex: -1, "aria-label": "Review desk" },
      this.notices.line, make("div", { className: "panes" }, this.page.panes), this.layer, this.notices.cards, this.notices.toasts);
    root.append(this.element);
    this.listening = new AbortController();
    const { signal } = this.listening;
    window.addEventListener("keydown", (event) => this.#key(event), { signal, capture: true });
    window.addEventListener("resize", () => this.#fit(), { signal });
    window.addEventListener("screenalyzer:pulse", (event) => this.#pulse(event.detail), { signal });
    this.element.addEventListener("picture-missing", () => this.#newPictures(), { signal });
    this.ticking = setInterval(() => this.#tick(), 1000);
    if (!isTypingSomewhere()) this.element.focus({ preventScroll: true });
    this.#fit();
  }

  /** What the pages' server delivered: messages {n, kind, body}, each of which is taken once. */
  take(data) {
    this.heard = performance.now();
    this.api = data.api;
    if (data.instance !== null && data.instance !== this.instance) return this.sync(true); // meant for a page that is gone
    if (data.box !== this.box) Object.assign(this, { box: data.box, seen: 0 });
    let heavy = 0;
    for (const message of data.messages) {
      if (message.n <= this.seen) continue;
      if (message.n !== this.seen + 1) return this.sync(true);
      this.seen = message.n;
      heavy += JSON.stringify(message.body).length;
      MESSAGES[message.kind](this, message.body);
    }
    this.refresh();
    this.sync(heavy > HEAVY);
    return undefined;
  }

  /** Show the state as it is now. */
  refresh() {
    const focused = this.root.activeElement;
    this.view = shown(this.server, this.queue.actions);
    this.page.render();
    this.#connection();
    if (focused && !focused.isConnected) this.element.focus({ preventScroll: true });
  }

  /** An edit: shown at once, kept until the service has it. `text` says what was done. */
  act(operation, text, target = null) {
    const before = this.page.items;
    this.actedAt = performance.now();
    this.#add({ kind: "edit", operation, entity_id: target?.entity.entity_id ?? null, label: text });
    this.page.acted(before, target);
    this.refresh();
    this.sync();
    setTimeout(() => this.sync(), REST_MS);
  }

  /** The same action once more, now that what others did has been seen. */
  again({ kind, operation, entity_id, number, label }) {
    this.#add({ kind, operation, entity_id, number, label });
    this.sync();
  }

  /** Have the hands rested since the last action? */
  get resting() {
    return performance.now() - (this.actedAt ?? -REST_MS) >= REST_MS - 50;
  }

  /** Ask before something that reaches far. */
  ask(title, text, act) {
    this.notices.card(title, text, [["Yes", act], ["No", null]]);
  }

  say(text, tone = "plain") {
    this.notices.toast(text, null, tone);
  }

  /** Do what a key or a button asks for. */
  run(command) {
    const { name } = command;
    if (name === "escape" && (this.help.open || this.frame.open)) {
      this.help.close();
      return this.frame.close();
    }
    if (name === "help") return this.help.toggle();
    if (name === "frame") return this.frame.open ? this.frame.close() : this.#showFrame();
    if (name === "undo" || name === "redo") return this.#walkLog(name);
    if (this.page.run(command)) {
      if (this.frame.open) this.#showFrame();
      return this.sync();
    }
    return naming(this, command);
  }

  /** Tell the pages' server what waits and what is wanted, where that has changed; always where `again`. */
  sync(again = false) {
    const { wants } = this;
    const waiting = this.queue.wire();
    const told = JSON.stringify([waiting, wants]);
    if (told === this.asked && !again) return;
    const nothing = !waiting.length && !Object.keys(wants).length;
    this.asked = told;
    if (nothing && !again) return;
    this.#tell(wants);
  }

  /** What the service must tell. */
  get wants() {
    return this.server === EMPTY ? { view: true } : this.page.wants;
  }

  thumb(id) {
    return id ? this.#url("thumb", "{det}", id) : "";
  }

  crop(id) {
    return id ? this.#url("crop", "{det}", id) : "";
  }

  /** A face of a person that the show keeps from before. */
  known(id) {
    return id ? this.#url("known", "{person}", id) : "";
  }

  opened(id) {
    if (this.openedId === id) return;
    this.openedId = id;
    queueMicrotask(() => this.sync());
  }

  /** The mouse or the cursor is on a face: its frame is shown beside, once it stays there. */
  lookAt(face, show) {
    clearTimeout(this.looking);
    this.looking = setTimeout(() => show(face), LOOK_MS);
  }

  /** The address of a face's full frame. */
  frameUrl(face) {
    return this.#url("frame", "{ts}", face.ts_ms);
  }

  close() {
    this.listening.abort();
    clearInterval(this.ticking);
    clearTimeout(this.looking);
    this.page.close();
    this.element.remove();
  }

  #url(kind, hole, value) {
    return (this.server.media[kind] ?? "").replace(hole, encodeURIComponent(value));
  }

  #add(action) {
    const made = this.queue.add({ ...action, seen: this.server.revision, title: this.server.title });
    this.notices.toast(made.label, made.kind === "edit" ? () => this.#takeBack(made) : null);
    if (this.queue.full) this.say("This browser has no room left to keep actions in. Do not close or reload the page before they are saved.", "other");
    this.refresh();
  }

  // What a toast is about, whatever was done since.
  #takeBack({ key, label }) {
    const waits = this.queue.actions.some((a) => a.key === key);
    const number = this.numbers.get(key);
    if (!waits && !number) return this.say("That was not done, or has changed nothing: there is nothing to undo.");
    this.#add({ kind: "undo", ...(waits ? { of: key } : { number }), label: `Undone: ${label}` });
    return this.sync();
  }

  #walkLog(kind) {
    const { edits, undoing } = standing(this.queue.actions);
    const waits = edits.at(-1);
    const step = kind === "undo" ? (waits ?? this.server.undo) : this.server.redo;
    if (!step && !this.queue.length) return this.say(kind === "undo" ? "There is nothing to undo." : "There is nothing to redo.");
    const about = kind === "redo" || (!waits && undoing) ? {} : waits ? { of: waits.key } : { number: step?.number };
    this.#add({ kind, ...about, label: `${kind === "undo" ? "Undone" : "Redone"}: ${step?.label ?? "the last edit"}` });
    return this.sync();
  }

  #showFrame() {
    const { face } = this.page;
    if (!face) return this.say("Choose a face first.");
    const entity = this.view.entities.get(face.entity_id);
    return this.frame.show(face, this.frameUrl(face), this.server, this.server.start_ms, entity?.name ?? "Face");
  }

  #key(event) {
    if (this.picker.open || isTyping(event) || document.querySelector("[role=dialog][aria-modal=true]")) return;
    if (isPressing(event)) return;
    const command = commandOf(event, this.mode);
    if (!command) return;
    event.preventDefault();
    event.stopImmediatePropagation(); // the pages' own shortcuts, such as R, are not meant
    if (!event.repeat || REPEATING.has(command.name)) this.run(command);
  }

  #pulse({ revision, people, api }) {
    this.heard = performance.now();
    this.api = api;
    if (revision !== null && !this.queue.length) {
      // An edit here may move both; the people alone are moved by an edit of another episode.
      const elsewhere = revision === this.pulsed?.revision && people !== this.pulsed.people;
      this.pulsed = { revision, people };
      if (revision > this.server.revision) this.#askForNews(revision);
      else if (elsewhere) this.#tell({ ...this.wants, view: true });
    }
    this.#connection();
  }

  #tell(wants) {
    this.count += 1;
    this.sentAt = performance.now();
    const { instance, box, count, seen } = this;
    this.send({ instance, box, count, seen, queue: this.queue.wire(), wants });
  }

  #askForNews(revision) {
    if (this.newsAsked === revision) return;
    this.newsAsked = revision;
    this.#tell({ ...this.wants, news: this.server.revision });
  }

  #tick() {
    const waits = this.queue.length || Object.keys(this.wants).length;
    if (waits && performance.now() - this.sentAt > AGAIN_MS) this.sync(true);
    this.#connection();
  }

  #connection() {
    const lost = performance.now() - this.heard > LOST_MS;
    this.notices.connection(lost ? "lost" : this.api.ok ? "well" : "away", this.queue.length, this.api.message, () => this.#giveUp());
  }

  #giveUp() {
    const given = this.queue.clear();
    this.notices.card(`${given.length} actions were given up`, given.map((a) => a.label).join(" · "), [["Close", null]]);
    this.refresh();
  }

  #newPictures() {
    const now = performance.now();
    if (now - (this.picturesAt ?? -PICTURES_EVERY_MS) < PICTURES_EVERY_MS) return;
    this.picturesAt = now;
    this.#tell({ view: true });
  }

  #fit() {
    const top = this.element.getBoundingClientRect().top + window.scrollY;
    this.element.style.setProperty("--desk-top", `${Math.max(0, Math.round(top))}px`);
  }
}

const REPEATING = new Set(["next", "previous", "next_too", "previous_too", "arrow"]);

const isTypingSomewhere = () => document.activeElement?.matches("input, textarea, select");

const MESSAGES = {
  view: (desk, body) => { desk.server = withView(desk.server, body); },
  faces: (desk, body) => { desk.server = withFaces(desk.server, body); },
  doubts: (desk, body) => { desk.server = { ...desk.server, doubts: body.items }; },
  suggestions: (desk, body) => { desk.server = { ...desk.server, suggestions: body.items }; },
  spans: (desk, body) => { desk.server = { ...desk.server, spans: body.items }; },
  timeline: (desk, body) => { desk.server = { ...desk.server, timeline: body.items }; },
  others: (desk, { items }) => {
    for (const { actor, label } of items.slice(0, 3)) desk.notices.toast(`${actor}: ${label}`, null, "other");
    if (items.length > 3) desk.notices.toast(`and ${items.length - 3} more edits by others`, null, "other");
  },
  result: (desk, { key, result }) => {
    desk.queue.settle(key);
    if (result.edit) {
      desk.numbers.set(key, result.edit.number);
      desk.queue.known(key, result.edit.number);
    }
    desk.server = withResult(desk.server, result);
  },
  refused: (desk, { key, conflict, what, to_do }) => {
    const action = desk.queue.settle(key);
    if (!action) return;
    const again = ["Do it all the same", () => desk.again(action)];
    desk.notices.card(`Not done: ${action.label}`, [what, to_do].filter(Boolean).join(" "), conflict ? [again, ["Leave it", null]] : [["Close", null]]);
  },
};
