// Which cells of a long grid are on screen. All lengths in pixels.

/** How many cells of a size lie side by side; at least one. */
export function columnsIn(width, cell, gap) {
  return Math.max(1, Math.floor((width + gap) / (cell + gap)));
}

/** Height of the whole grid. */
export function heightOf(count, columns, cell, gap) {
  const rows = Math.ceil(count / columns);
  return rows ? rows * (cell + gap) - gap : 0;
}

/** First index and the one after the last that must exist for a view of `height` at `top`, with spare rows around. */
export function windowOf({ count, columns, cell, gap, top, height, spare }) {
  const step = cell + gap;
  const first = Math.max(0, Math.floor(top / step) - spare);
  const last = Math.ceil((top + height) / step) + spare;
  return { from: Math.min(count, first * columns), to: Math.min(count, Math.max(0, last) * columns) };
}

/** Where a cell lies. */
export function placeOf(index, columns, cell, gap, height = cell) {
  return { x: (index % columns) * (cell + gap), y: Math.floor(index / columns) * (height + gap) };
}

/** The scroll position that shows a row with as little movement as possible. */
export function scrollTo(index, columns, cell, gap, top, height) {
  const start = Math.floor(index / columns) * (cell + gap);
  if (start < top) return start;
  return start + cell > top + height ? start + cell - height : top;
}

/** The index that an arrow key leads to. */
export function stepped(index, key, columns, count) {
  if (!count) return 0;
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[key];
  const to = key === "Home" ? 0 : key === "End" ? count - 1 : index + by;
  if (to < 0) return key === "ArrowUp" ? index : 0;
  return to >= count ? (key === "ArrowDown" ? index : count - 1) : to;
}
