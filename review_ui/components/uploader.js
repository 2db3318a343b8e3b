// The page's list of files on their way to the service. It lives as long as the browser's tab shows any page.

const AT_ONCE = 2;
const UPLOADS = Symbol.for("screenalyzer.uploads");
const WORDS = {
  ready: "ready",
  queued: "waits for its turn",
  sending: "",
  waiting: "waiting for the connection",
  checking: "all sent; the service looks at the video",
  paused: "paused",
  refused: "refused",
  done: "uploaded; it is being processed now",
};
const ACTIVE = new Set(["queued", "sending", "waiting", "checking"]);

class Uploads {
  constructor() {
    this.rows = [];
    this.listener = null;
    this.nextId = 1;
    this.accessToken = null;
    addEventListener("beforeunload", (event) => {
      if (this.rows.some((row) => ACTIVE.has(row.state))) event.preventDefault();
    });
  }

  add(files, show, replace) {
    for (const file of files) {
      const episode = file.name.replace(/\.[^.]+$/, "");
      this.rows.push({ id: this.nextId++, file, show, replace, episode, state: "ready", sent: 0, note: "" });
    }
    this.changed();
  }

  start() {
    for (const row of this.rows.filter((r) => r.state === "ready")) row.state = "queued";
    this.next();
  }

  resume(row) {
    row.state = "queued";
    this.next();
  }

  next() {
    const busy = this.rows.filter((r) => ACTIVE.has(r.state) && r.state !== "queued").length;
    for (const row of this.rows.filter((r) => r.state === "queued").slice(0, Math.max(0, AT_ONCE - busy))) {
      row.state = "sending";
      row.upload = new TusUpload(
        row.file,
        { show: row.show, episode: row.episode.trim() || row.file.name, replace: row.replace },
        { apiUrl: this.apiUrl, token: (refused) => this.token(refused) },
        (changes) => this.told(row, changes),
      );
      row.upload.run().finally(() => this.next());
    }
    this.changed();
  }

  told(row, changes) {
    Object.assign(row, changes);
    this.changed();
    if (changes.state === "done") this.onDone?.(row);
  }

  remove(row) {
    this.rows = this.rows.filter((r) => r !== row);
    if (row.state !== "done") row.upload?.discard();
    this.next();
  }

  // The page's server knows the login by its cookie, and renews tokens.
  async token(refused) {
    if (this.accessToken && this.accessToken.value !== refused && this.accessToken.until > performance.now())
      return this.accessToken.value;
    const answer = await fetch(new URL(this.tokenPath, window.location.origin), {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ refused }),
      credentials: "same-origin",
    }).catch(() => null);
    if (answer?.status === 401) throw new RefusedError("Your login has ended. Load the page and log in; then choose the file again to go on.");
    if (!answer?.ok) throw new PassingError("The connection is lost.", 0);
    const { access_token: value } = await answer.json();
    this.accessToken = { value, until: performance.now() + 60_000 };
    return value;
  }

  changed() {
    if (this.scheduled) return;
    this.scheduled = requestAnimationFrame(() => {
      this.scheduled = null;
      this.listener?.();
    });
  }
}

export default function ({ data, parentElement, setTriggerValue }) {
  const uploads = (window[UPLOADS] ??= new Uploads());
  uploads.apiUrl = data.api_url;
  uploads.tokenPath = data.token_path;
  uploads.onDone = (row) => setTriggerValue("uploaded", row.result.episode_id);

  const find = (name) => parentElement.querySelector(`[data-part="${name}"]`);
  const [zone, input, list, start, said] = ["zone", "input", "list", "start", "said"].map(find);
  const add = (files) => {
    if (!data.show) {
      said.textContent = "Choose or type the show first, above.";
      return;
    }
    said.textContent = "";
    uploads.add(files, data.show, data.replace);
  };

  input.onchange = () => {
    add([...input.files]);
    input.value = "";
  };
  zone.ondragover = (event) => {
    event.preventDefault();
    zone.dataset.over = "yes";
  };
  zone.ondragleave = () => delete zone.dataset.over;
  zone.ondrop = (event) => {
    event.preventDefault();
    delete zone.dataset.over;
    add([...event.dataTransfer.files]);
  };
  start.onclick = () => uploads.start();

  const drawn = new Map();
  const draw = () => {
    start.hidden = !uploads.rows.some((row) => row.state === "ready");
    const count = uploads.rows.filter((row) => row.state === "ready").length;
    start.textContent = count === 1 ? "Upload 1 file" : `Upload ${count} files`;
    for (const [id, element] of drawn)
      if (!uploads.rows.some((row) => row.id === id)) {
        element.root.remove();
        drawn.delete(id);
      }
    for (const row of uploads.rows) {
      if (!drawn.has(row.id)) {
        drawn.set(row.id, makeRow(uploads, row));
        list.append(drawn.get(row.id).root);
      }
      drawn.get(row.id).update();
    }
  };
  list.replaceChildren();
  uploads.listener = draw;
  draw();
  return () => {
    if (uploads.listener !== draw) return;
    uploads.listener = null;
    uploads.onDone = null;
  };
}

function makeRow(uploads, row) {
  const make = (tag, className, text = "") => Object.assign(document.createElement(tag), { className, textContent: text });
  const root = make("li", "row");
  const name = make("div", "name", row.file.name);
  const show = make("div", "about", `${row.show}, ${bytes(row.file.size)}`);
  const title = make("input", "title");
  title.value = row.episode;
  title.setAttribute("aria-label", `Episode title of ${row.file.name}`);
  title.oninput = () => (row.episode = title.value);
  const bar = make("progress", "bar");
  bar.max = row.file.size;
  bar.setAttribute("aria-label", `Upload of ${row.file.name}`);
  const words = make("div", "words");
  words.setAttribute("role", "status");
  const toggle = make("button", "button");
  const remove = make("button", "button", "Remove");
  remove.setAttribute("aria-label", `Remove ${row.file.name}`);
  for (const button of [toggle, remove]) button.type = "button";
  toggle.onclick = () => (ACTIVE.has(row.state) ? row.upload?.pause() : uploads.resume(row));
  remove.onclick = () => uploads.remove(row);
  const head = make("div", "head");
  head.append(name, show);
  const buttons = make("div", "buttons");
  buttons.append(toggle, remove);
  root.append(head, title, bar, words, buttons);

  const update = () => {
    root.dataset.state = row.state;
    title.disabled = row.state !== "ready";
    bar.hidden = row.state === "ready";
    bar.value = row.sent;
    toggle.hidden = !["sending", "waiting", "paused", "refused"].includes(row.state);
    toggle.textContent = { paused: "Go on", refused: "Try again" }[row.state] ?? "Pause";
    toggle.setAttribute("aria-label", `${toggle.textContent}: ${row.file.name}`);
    remove.hidden = row.state === "checking";
    words.textContent = describe(row);
  };
  return { root, update };
}

function describe(row) {
  if (row.state === "refused") return row.note;
  if (row.state === "waiting") return row.note || WORDS.waiting;
  if (row.state !== "sending") return WORDS[row.state];
  const share = `${Math.floor((100 * row.sent) / Math.max(1, row.file.size))} %`;
  const speed = row.speed ? `, ${bytes(row.speed)}/s` : "";
  const left = row.leftS == null ? "" : `, ${duration(row.leftS)} left`;
  return `${share} of ${bytes(row.file.size)}${speed}${left}`;
}

function bytes(count) {
  for (const unit of ["bytes", "KB", "MB", "GB"]) {
    if (count < 1000 || unit === "GB") return `${count.toFixed(unit === "bytes" || count >= 100 ? 0 : 1)} ${unit}`;
    count /= 1000;
  }
}

function duration(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}
