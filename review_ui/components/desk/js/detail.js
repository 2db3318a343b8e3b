// The right side: who this may be, what can be done, and the face under the cursor.

import { button, clock, counted, keycap, lasting, make, percent } from "./words.js";

/** Suggestions with their keys. take(n): somebody clicked one. */
export function suggestionList(candidates, take) {
  if (!candidates.length) {
    return make("p", { className: "empty" }, "No suggestion: nobody of the show looks like this. ", keycap("/"), " searches people, ", keycap("N"), " names a new one.");
  }
  return make("ol", { className: "candidates" }, candidates.slice(0, 9).map((c, i) => make("li", {},
    make("button", { type: "button", title: `Take ${c.name}`, on: { click: (e) => { take(i + 1); e.currentTarget.blur(); } } },
      keycap(i + 1), make("span", { className: "who", textContent: c.name }),
      make("span", { className: "meter", "aria-hidden": "true" }, make("i", { style: { width: `${100 * c.probability}%` } })),
      make("span", { className: "share", textContent: percent(c.probability) })))));
}

/** Buttons of commands: rows of [label, key, command]. */
export function actionList(rows, run) {
  return make("div", { className: "actions" }, rows.map(([label, key, name]) => button(label, key, () => run(name))));
}

/** What is known of the face under the cursor. */
export function faceFacts(face, startMs) {
  const facts = [
    ["Time", clock(face.ts_ms - startMs)],
    ["Distance", face.distance === undefined || face.distance === null ? "–" : face.distance.toFixed(2)],
    ["Belongs", face.pinned ? "said so by a person" : percent(face.score ?? 0)],
  ];
  return make("dl", { className: "facts" }, facts.flatMap(([k, v]) => [make("dt", { textContent: k }), make("dd", { textContent: v })]));
}

/** Decisions that hold nowhere in the current run, to unfold; empty where there are none. */
export function lostDecisions(lost, startMs) {
  if (!lost.length) return "";
  const told = lost.map((l) => [l.about || l.kind, l.start_ms === null ? "" : `at ${clock(l.start_ms - startMs)}`, l.reason].filter(Boolean).join(" · "));
  return make("details", { className: "lost" },
    make("summary", { textContent: `△ ${counted(lost.length, "decision was", "decisions were")} not found again` }),
    make("ul", {}, told.map((text) => make("li", { textContent: text }))));
}

/** Signs of an entity: a word with a glyph each, so that colour says nothing alone. */
export function signs(entity) {
  const said = [];
  if (entity.locked) said.push(["locked", "■ locked"]);
  if (entity.mark) said.push(["aside", entity.mark === "not_face" ? "⊘ not a face" : "◌ background"]);
  else if (entity.kind !== "person") said.push(["open", "○ no name"]);
  else if (entity.auto) said.push(["auto", `◐ found, ${percent(entity.confidence)}`]);
  else if (entity.reviewed < 1) said.push(["auto", `◐ ${percent(entity.reviewed)} reviewed`]);
  else said.push(["done", "● reviewed"]);
  if (entity.low_conf) said.push(["low", "△ check"]);
  if (entity.waiting) said.push(["waiting", "… saving"]);
  return said.map(([kind, text]) => make("span", { className: `sign ${kind}`, textContent: text }));
}

/** One line about an entity: how long and how often it is seen. */
export function entityLine(entity) {
  return `${lasting(entity.seen_ms)} · ${counted(entity.face_count, "face")}`;
}
