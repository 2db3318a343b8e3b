// Which key does what, and when a key is not ours. The same table makes the help.

const EVERYWHERE = [
  ["j", "next", "J", "next"],
  ["k", "previous", "K", "previous"],
  ["f", "frame", "F", "full frame with the face's box; again to close"],
  ["z", "undo", "Z", "undo"],
  ["Z", "redo", "Shift+Z", "redo"],
  ["?", "help", "?", "this help"],
  ["Escape", "escape", "Esc", "close, or drop the selection"],
];

const NAMING = [
  ["Enter", "accept", "Enter", "accept the first suggestion; confirm a name that was found"],
  ["/", "search", "/", "search people, then Enter"],
  ["n", "new", "N", "new person"],
  [" ", "select", "Space", "select the face"],
  ["s", "split", "S", "split: the selected faces are somebody else"],
  ["x", "not_face", "X", "not a face (again: it is one)"],
  ["b", "background", "B", "background extra (again: not one)"],
  ["0", "not_person", "0", "not this person"],
];

const STEPPING = [
  ["← →", "one frame"],
  ["Shift+← →", "one second"],
  ["↑ ↓", "ten seconds"],
  ["Home End", "first and last frame"],
];

const LINEUP = [
  ["Enter", "confirm", "Enter", "confirm everyone who is not put aside"],
  [" ", "aside", "Space", "put the row aside: somebody else is in it (again: back)"],
  ["x", "aside", "X", "likewise"],
];

const ARROWS = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"];

const PAIRS = [
  ["y", "same", "Y", "yes, one person"],
  ["n", "different", "N", "no, two people; never suggested again"],
  ["u", "unsure", "U", "unsure: ask again later"],
];

const TABLES = {
  faces: [
    ...NAMING,
    ["t", "scope", "T", "act on whole tracks, or on the selected faces only"],
    ["m", "merge", "M", "merge with another, or the chosen rows"],
    ["J", "next_too", "Shift+J", "choose the next row as well"],
    ["K", "previous_too", "Shift+K", "choose the previous row as well"],
    ["a", "select_all", "A", "select all faces"],
    ["r", "rename", "R", "rename the person"],
    ["l", "lock", "L", "lock against edits, or open again"],
  ],
  lineup: LINEUP,
  doubts: [...NAMING, ["u", "unsure", "U", "unsure: ask again later"]],
  merges: [["m", "same", "M", "merge: one person"], ["Enter", "same", "Enter", "merge: one person"], ...PAIRS],
  pairs: PAIRS,
  manual: [
    ["i", "mark_in", "I", "it begins with this frame"],
    ["o", "mark_out", "O", "this frame is its last"],
    ["t", "kind", "T", "switch between on screen and not on screen"],
    ["Enter", "save", "Enter", "add the interval, or take it away"],
    ["Delete", "remove", "Del", "remove the interval by hand at this frame"],
    ["/", "search", "/", "search people"],
    ["n", "new", "N", "somebody new"],
  ],
};

const takesNames = (mode) => mode === "faces" || mode === "doubts";

/** Rows [key, command, shown, what it does] of a page. */
export function keysOf(mode) {
  const others = mode === "manual" ? EVERYWHERE.filter(([, name]) => name !== "frame") : EVERYWHERE;
  return [...others.slice(0, 2), ...TABLES[mode], ...others.slice(2)];
}

/** Help of the keys that no table lists singly. */
export function moreHelp(mode) {
  const digits = ["1-9", "take that suggestion"];
  const arrows = ["Arrows", mode === "faces" ? "move among the faces; with Shift they are selected" : "move among the faces"];
  if (mode === "manual") return STEPPING;
  return takesNames(mode) ? [digits, arrows] : [["← →", "the left or the right one, for F"]];
}

/** Is somebody typing there? */
export function isTyping(event) {
  const at = event.composedPath()[0];
  if (!(at instanceof Element)) return false;
  return at.matches("input:not([type=radio]), textarea, select, [contenteditable='']") || at.isContentEditable;
}

/** Would the browser do something of its own with this key there, such as pressing a button? */
export function isPressing(event) {
  const at = event.composedPath()[0];
  return (event.key === "Enter" || event.key === " ") && at instanceof Element && at.matches("button, a, summary, [role=tab]");
}

/**
 * The command that a key gives: {name, digit?, key?, shift?}; null where it is not ours.
 * Capitals count as small letters where the table has no capital, so that a caps lock does no harm.
 */
export function commandOf(event, mode) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return null;
  const key = event.key;
  if (takesNames(mode) && /^[1-9]$/.test(key)) return { name: "take", digit: Number(key) };
  if (ARROWS.includes(key)) return { name: "arrow", key, shift: event.shiftKey };
  const rows = keysOf(mode);
  const row = rows.find(([k]) => k === key) ?? (event.shiftKey ? null : rows.find(([k]) => k === key.toLowerCase()));
  return row ? { name: row[1] } : null;
}
