// The full frame that a face was found in, with its box.

import { clock, make } from "./words.js";

/** A frame with a face's box: face {ts_ms, box}, size {width, height} in the box's pixels. */
export function stage(face, url, size, alt, failed) {
  const share = (value, of) => `${(100 * value) / of}%`;
  const [x1, y1, x2, y2] = face.box ?? [0, 0, 0, 0];
  const box = face.box && make("div", { className: "box", style: {
    left: share(x1, size.width), top: share(y1, size.height), width: share(x2 - x1, size.width), height: share(y2 - y1, size.height),
  } });
  const image = make("img", { src: url, alt, on: { error: failed } });
  return make("div", { className: "stage", style: { "--ratio": `${size.width} / ${size.height}`, "--ratio-number": size.width / size.height } }, image, box);
}

export class FrameView {
  constructor(layer) {
    this.layer = layer;
    this.face = null;
  }

  get open() {
    return this.face !== null;
  }

  /** Show a face's frame: face {det_id, ts_ms, box}, size {width, height} in the box's pixels, start_ms of the video. */
  show(face, url, size, startMs, caption) {
    if (this.face?.det_id === face.det_id) return;
    this.close();
    this.face = face;
    const said = `${caption} at ${clock(face.ts_ms - startMs)}`;
    const note = make("p", { textContent: `${said}  ·  F or Esc closes` });
    const failed = () => { note.textContent = `${said}. The frame could not be read; the video may have been deleted.`; };
    this.box = make("div", { className: "frame", role: "dialog", "aria-label": said, on: { click: () => this.close() } },
      stage(face, url, size, `Full frame: ${said}`, failed), note);
    this.layer.append(this.box);
  }

  close() {
    if (!this.open) return;
    this.face = null;
    this.box.remove();
  }
}
