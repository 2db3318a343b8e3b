// What the desk says: toasts that pass, cards that stay until they are answered, and the state of the connection.

import { button, counted, make } from "./words.js";

const TOAST_MS = 6000;
const MOST_TOASTS = 3;

export class Notices {
  constructor() {
    this.line = make("div", { className: "connection", role: "status", hidden: true });
    this.cards = make("div", { className: "cards", role: "alert" });
    this.toasts = make("div", { className: "toasts", role: "status", "aria-live": "polite" });
  }

  /** Say something that passes; `undo` puts a button beside it. Returns the element, so that it can be taken back. */
  toast(text, undo = null, tone = "plain") {
    const toast = make("div", { className: `toast ${tone}` }, make("span", { textContent: text }),
      undo && button("Undo", "Z", () => { toast.remove(); undo(); }));
    this.toasts.append(toast);
    while (this.toasts.childElementCount > MOST_TOASTS) this.toasts.firstElementChild.remove();
    setTimeout(() => toast.remove(), TOAST_MS);
    return toast;
  }

  /** Say something that somebody must have read: choices are [label, act]. */
  card(title, text, choices) {
    const away = (act) => () => { card.remove(); act?.(); };
    const card = make("div", { className: "card" }, make("strong", { textContent: title }), make("p", { textContent: text }),
      make("div", { className: "choices" }, ...choices.map(([label, act]) => button(label, null, away(act)))));
    this.cards.append(card);
  }

  /** The line on top: what is waiting, and why. state: "well", "lost" (no server of pages), "away" (no service). */
  connection(state, waiting, message, discard) {
    const kept = waiting ? ` ${counted(waiting, "action is kept", "actions are kept")} in this browser and will be sent.` : "";
    const said = {
      well: "",
      lost: `Connection lost; trying again.${kept}`,
      away: `${message || "The service does not answer; trying again."}${kept}`,
    }[state];
    const text = `${state}|${said}`;
    if (text === this.said) return;
    this.said = text;
    this.line.hidden = !said;
    this.line.className = `connection ${state}`;
    this.line.replaceChildren(make("span", { className: "sign", textContent: "⚠", "aria-hidden": "true" }), make("span", { textContent: said }),
      state === "away" && waiting ? button("Give them up…", null, discard) : "");
  }
}
