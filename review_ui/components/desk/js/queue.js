// Actions that the service has not yet acknowledged. They live in the browser's storage, so that a lost
// connection or a reload loses none; each bears a key by which the service applies it once however often it comes.

const COMMON = "screenalyzer.desk.queue";

/** A key that no other action has. */
export function newKey(crypto = globalThis.crypto) {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((b) => b.toString(16).padStart(2, "0")).join("");
}

export class Queue {
  /** Take up what an earlier page of the same user and episode left in the storage. */
  constructor(storage, user, episode) {
    this.storage = storage;
    this.prefix = `${COMMON}/${user}/${episode}/`;
    this.actions = this.#stored();
    this.latest = this.actions.length ? this.actions.at(-1).order : 0;
  }

  get length() {
    return this.actions.length;
  }

  /** Add an action {kind: "edit" | "undo" | "redo", seen, label, …}; returns it with its key. An edit has its
   * `operation`; an undo has the `number` of what it undoes, or is `of` the key of an action that waits as well.
   */
  add(action, now = Date.now()) {
    this.latest = Math.max(now, this.latest + 1);
    const kept = { ...action, key: newKey(), order: this.latest };
    this.actions = [...this.actions, kept];
    this.#store(kept);
    return kept;
  }

  /** The service has answered: take the action out, and return it; undefined where it was out before. */
  settle(key) {
    const found = this.actions.find((a) => a.key === key);
    this.actions = this.actions.filter((a) => a.key !== key);
    this.storage.removeItem(this.prefix + key);
    return found;
  }

  /** An action was applied as the edit of a number: what waits to undo it names it by that, whoever is asked. */
  known(key, number) {
    this.actions = this.actions.map((a) => (a.of === key ? { ...a, number } : a));
    for (const action of this.actions) if (action.of === key) this.#store(action);
  }

  /** Give all of it up; returns what it was. */
  clear() {
    const given = this.actions;
    for (const action of given) this.settle(action.key);
    return given;
  }

  /** What must be sent, oldest first: no more than the service needs. */
  wire() {
    return this.actions.map(({ key, kind, operation = null, number = null, of = null, seen }) => ({ key, kind, operation, number, of, seen }));
  }

  #store(action) {
    try {
      this.storage.setItem(this.prefix + action.key, JSON.stringify(action));
    } catch {
      this.full = true; // it is still in memory and will be sent; the page says that a reload would lose it
    }
  }

  #stored() {
    const found = [];
    for (let i = 0; i < this.storage.length; i++) {
      const name = this.storage.key(i);
      if (!name.startsWith(this.prefix)) continue;
      try {
        found.push(JSON.parse(this.storage.getItem(name)));
      } catch {
        continue; // half a line of a browser that died: it was never an action
      }
    }
    return found.sort((a, b) => a.order - b.order);
  }
}
