// Words and elements: how times and shares are written, and how anything is put on the page.

const NAMED_PROPS = new Set(["textContent", "className", "tabIndex", "value", "hidden", "src", "alt", "title", "type"]);

/** "1:02:03.4" of milliseconds; hours only where there are any. */
export function clock(ms) {
  const sign = ms < 0 ? "-" : "";
  const tenths = Math.floor(Math.abs(ms) / 100);
  const [h, m, s] = [Math.floor(tenths / 36000), Math.floor(tenths / 600) % 60, Math.floor(tenths / 10) % 60];
  const two = (n) => String(n).padStart(2, "0");
  return `${sign}${h ? `${h}:${two(m)}` : m}:${two(s)}.${tenths % 10}`;
}

/** "12.3 s", "3 min 20 s" or "1 h 4 min": how long something lasts. */
export function lasting(ms) {
  if (ms < 59950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  if (h) return m ? `${h} h ${m} min` : `${h} h`;
  return s ? `${m} min ${s} s` : `${m} min`;
}

/** "93 %" of a share of one; what is not all is never called 100 %. */
export function percent(share) {
  if (share > 0.99 && share < 1) return "99 %";
  return `${Math.round(share * 100)} %`;
}

/** "1 face", "12 faces". */
export function counted(n, one, many = `${one}s`) {
  return `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
}

/**
 * An element. Text always becomes a text node, so that a name can hold any character.
 * Props: the DOM's own in NAMED_PROPS, `on` for listeners, `style` for CSS properties, all others are attributes.
 */
export function make(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") for (const [event, listener] of Object.entries(value)) made.addEventListener(event, listener);
    else if (name === "style") for (const [p, v] of Object.entries(value)) made.style.setProperty(p, v);
    else if (NAMED_PROPS.has(name)) made[name] = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== false));
  return made;
}

/** A key as it is shown beside what it does. */
export function keycap(text) {
  return make("kbd", { textContent: text, "aria-hidden": "true" });
}

/** A button; a click with the mouse gives the keyboard back to the desk. */
export function button(label, key, act, props = {}) {
  const pressed = (event) => {
    act(event);
    if (event.detail > 0) event.currentTarget.blur();
  };
  return make("button", { type: "button", ...props, on: { click: pressed } }, label, key ? keycap(key) : null);
}
