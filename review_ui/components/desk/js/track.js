// A bar of time: when a person is on screen, what was marked, and where the video stands.

import { clock, make } from "./words.js";
import { shareOf } from "./steps.js";

export class Track {
  /** seek(ms): somebody clicked there. */
  constructor(label, seek) {
    this.parts = make("div", { className: "parts" });
    this.ends = [make("span", {}), make("span", {})];
    this.bar = make("div", { className: "track", role: "img", "aria-label": label, on: {
      click: (event) => {
        const { left, width } = this.bar.getBoundingClientRect();
        seek(Math.round(this.from + ((event.clientX - left) / width) * (this.to - this.from)));
      },
    } }, this.parts);
    this.element = make("div", { className: "timeline" }, this.bar, make("div", { className: "ends faint" }, this.ends));
  }

  /** Show a window of time: pieces {start_ms, end_ms, kind, title}, and the place of the video in it. */
  show([from, to], pieces, at, startMs) {
    Object.assign(this, { from, to });
    const lying = (start, end) => ({ left: `${100 * shareOf(start, from, to)}%`, width: `max(2px, ${100 * (shareOf(end, from, to) - shareOf(start, from, to))}%)` });
    this.parts.replaceChildren(
      ...pieces.filter((p) => p.end_ms > from && p.start_ms < to).map((p) =>
        make("i", { className: p.kind, title: p.title, style: lying(p.start_ms, p.end_ms) })),
      make("b", { className: "head-line", style: { left: `${100 * shareOf(at, from, to)}%` } }));
    this.ends[0].textContent = clock(from - startMs);
    this.ends[1].textContent = clock(to - startMs);
  }
}
