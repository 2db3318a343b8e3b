// Frames and times of a video with a steady frame rate. Times in milliseconds of the source's clock.

/** The number of the frame that is shown at a time, from 0. */
export function frameAt(ms, video) {
  return Math.floor(((ms - video.start_ms) * video.fps) / 1000 + 1e-6);
}

/** The first whole millisecond of a frame. */
export function timeOf(frame, video) {
  return video.start_ms + Math.ceil((frame * 1000) / video.fps - 1e-6);
}

/** A time moved by frames and milliseconds, on a frame and within the video. */
export function moved(ms, { frames = 0, by = 0 }, video) {
  const last = Math.max(0, frameAt(video.start_ms + video.duration_ms - 1, video));
  const to = frameAt(ms + by, video) + frames;
  return timeOf(Math.max(0, Math.min(last, to)), video);
}

/** Where a time lies in a window, as a share of it. */
export function shareOf(ms, from, to) {
  return Math.max(0, Math.min(1, (ms - from) / (to - from)));
}

/** A window of a length around a time, within the video. */
export function around(ms, length, video) {
  const end = video.start_ms + video.duration_ms;
  const from = Math.max(video.start_ms, Math.min(ms - length / 2, end - length));
  return [from, Math.min(end, from + length)];
}
