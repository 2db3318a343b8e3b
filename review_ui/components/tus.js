// Sends one file to the service by the tus protocol 1.0, in parts, and goes on wherever it was cut off.

const PART_BYTES = 8 << 20;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;
const PASSING = new Set([0, 408, 409, 423, 425, 429, 460, 500, 502, 503, 504]);
const GONE = new Set([404, 410]);

class RefusedError extends Error {}

class TusUpload {
  // file: a File; wish: {show, episode, replace}; service: {apiUrl, token(refused)}; tell(changes) is called
  // with what is new: {state, sent, note, speed, leftS, result}.
  constructor(file, wish, service, tell) {
    Object.assign(this, { file, wish, service, tell });
    this.offset = 0;
    this.stopped = false;
    this.request = null;
    this.meter = new Meter();
  }

  // One that was begun before, by this file's name, size and time of change, is gone on with.
  get key() {
    const { name, size, lastModified } = this.file;
    return `screenalyzer.upload:${this.service.apiUrl}:${this.wish.show}:${this.wish.episode}:${name}:${size}:${lastModified}`;
  }

  async run() {
    this.stopped = false;
    let pause = FIRST_PAUSE_MS;
    while (!this.stopped) {
      try {
        await this.locate();
        await this.send();
        return;
      } catch (error) {
        if (this.stopped) break;
        if (!(error instanceof PassingError)) {
          localStorage.removeItem(this.key);
          this.tell({ state: "refused", note: error.message });
          return;
        }
        if (error.offset > this.failedAt) pause = FIRST_PAUSE_MS;
        this.failedAt = error.offset;
        this.tell({ state: "waiting", note: `${error.message} Trying again; nothing that was sent is lost.` });
        await Promise.race([sleep(pause), cameOnline()]);
        pause = Math.min(LONGEST_PAUSE_MS, pause * 2);
      }
    }
    this.tell({ state: "paused", note: "" });
  }

  pause() {
    this.stopped = true;
    this.request?.abort();
  }

  async discard() {
    this.pause();
    const url = localStorage.getItem(this.key);
    localStorage.removeItem(this.key);
    if (url) await this.ask("DELETE", url, {}).catch(() => {});
  }

  // Where the bytes go, and how many of them are there already.
  async locate() {
    const known = localStorage.getItem(this.key);
    if (known) {
      const answer = await this.ask("HEAD", known, {});
      if (isGood(answer)) {
        this.url = known;
        this.offset = Number(answer.header("Upload-Offset"));
        return;
      }
      if (!GONE.has(answer.status)) throw this.failure(answer);
      localStorage.removeItem(this.key);
    }
    const answer = await this.ask("POST", `${this.service.apiUrl}/v1/uploads`, {
      "Upload-Length": String(this.file.size),
      "Upload-Metadata": metadata({
        filename: this.file.name,
        show: this.wish.show,
        episode: this.wish.episode,
        ...(this.wish.replace ? { replace: "true" } : {}),
      }),
    });
    // An episode that has other content, or is busy, is a 409 that waiting does not help.
    if (!isGood(answer)) throw this.failure(answer, answer.status === 409);
    this.url = new URL(answer.header("Location"), this.service.apiUrl).href;
    this.offset = 0;
    localStorage.setItem(this.key, this.url);
  }

  async send() {
    this.meter.start(this.offset);
    this.tell({ state: "sending", sent: this.offset, note: "" });
    while (this.offset < this.file.size && !this.stopped) {
      const part = this.file.slice(this.offset, this.offset + PART_BYTES);
      const last = this.offset + part.size === this.file.size;
      const headers = {
        "Content-Type": "application/offset+octet-stream",
        "Upload-Offset": String(this.offset),
        ...(await checksum(part)),
      };
      const begun = this.offset;
      const answer = await this.ask("PATCH", this.url, headers, part, (loaded) => {
        if (last && loaded === part.size) this.tell({ state: "checking", sent: this.file.size, note: "" });
        else this.progress(begun + loaded);
      });
      if (!isGood(answer)) throw this.failure(answer);
      this.offset = Number(answer.header("Upload-Offset"));
      this.progress(this.offset);
    }
    if (!this.stopped) await this.finish();
  }

  async finish() {
    const answer = await this.ask("GET", this.url, {});
    if (!isGood(answer)) throw this.failure(answer);
    const found = JSON.parse(answer.text);
    if (found.state === "refused") throw new RefusedError(found.problem);
    localStorage.removeItem(this.key);
    this.tell({ state: "done", sent: this.file.size, note: "", result: found });
  }

  progress(sent) {
    this.meter.add(sent);
    const speed = this.meter.speed;
    this.tell({ sent, speed, leftS: speed ? (this.file.size - sent) / speed : null });
  }

  failure(answer, final = false) {
    const text = explain(answer);
    return PASSING.has(answer.status) && !final ? new PassingError(text, this.offset) : new RefusedError(text);
  }

  // A request that bears the login; a token that is refused is renewed once.
  async ask(method, url, headers, body = null, onProgress = null) {
    const token = await this.service.token(null);
    const answer = await this.once(method, url, { ...headers, Authorization: `Bearer ${token}` }, body, onProgress);
    if (answer.status !== 401) return answer;
    const fresh = await this.service.token(token);
    return this.once(method, url, { ...headers, Authorization: `Bearer ${fresh}` }, body, onProgress);
  }

  once(method, url, headers, body, onProgress) {
    return new Promise((resolve) => {
      const request = new XMLHttpRequest();
      this.request = request;
      request.open(method, url);
      request.timeout = 120_000;
      request.setRequestHeader("Tus-Resumable", "1.0.0");
      for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
      if (onProgress) request.upload.onprogress = (event) => onProgress(event.loaded);
      request.onloadend = () =>
        resolve({
          status: request.status,
          text: request.responseText,
          header: (name) => request.getResponseHeader(name),
        });
      request.send(body);
    });
  }
}

class PassingError extends Error {
  constructor(message, offset) {
    super(message);
    this.offset = offset;
  }
}

// Bytes a second over the last five seconds.
class Meter {
  start(sent) {
    this.seen = [[performance.now(), sent]];
  }

  add(sent) {
    const now = performance.now();
    this.seen.push([now, sent]);
    while (this.seen.length > 2 && this.seen[0][0] < now - 5000) this.seen.shift();
  }

  get speed() {
    const [first, last] = [this.seen[0], this.seen.at(-1)];
    const seconds = (last[0] - first[0]) / 1000;
    return seconds > 0.2 ? (last[1] - first[1]) / seconds : null;
  }
}

// Status 0 is a connection that broke.
function isGood(answer) {
  return answer.status >= 200 && answer.status < 300;
}

function metadata(pairs) {
  const encode = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));
  return Object.entries(pairs).map(([key, value]) => `${key} ${encode(value)}`).join(",");
}

// A page that was not loaded safely has no crypto; the service checks the whole file in any case.
async function checksum(part) {
  if (!globalThis.crypto?.subtle) return {};
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await part.arrayBuffer()));
  return { "Upload-Checksum": `sha256 ${btoa(String.fromCharCode(...digest))}` };
}

function explain(answer) {
  if (answer.status === 0) return "The connection is lost.";
  try {
    return JSON.parse(answer.text).detail;
  } catch {
    return `The service answered ${answer.status}.`;
  }
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const cameOnline = () => new Promise((resolve) => addEventListener("online", resolve, { once: true }));
