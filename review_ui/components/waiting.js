// Says for which episodes actions wait in this browser that no open desk is about to send, with a way to each.

const COMMON = "screenalyzer.desk.queue";
const LOOK_MS = 2000;
const SETTLED_MS = 3000; // what was just done is on its way
const ends = new WeakMap();

export default function render({ data, parentElement }) {
  ends.get(parentElement)?.();
  const list = parentElement.querySelector("ul") ?? parentElement.appendChild(document.createElement("ul"));
  list.setAttribute("aria-label", "Actions that wait");
  let said = "";
  const look = () => {
    const found = waiting(data);
    const now = JSON.stringify([...found]);
    if (now === said) return;
    said = now;
    list.replaceChildren(...[...found].map(line));
  };
  look();
  const timer = setInterval(look, LOOK_MS);
  const end = () => clearInterval(timer);
  ends.set(parentElement, end);
  return end;
}

/** Episode to the count of what waits and its title; not of the episode whose desk is on the page. */
function waiting({ user, here }) {
  const found = new Map();
  for (let i = 0; i < localStorage.length; i++) {
    const name = localStorage.key(i);
    if (!name.startsWith(`${COMMON}/${user}/`)) continue;
    const episode = name.split("/").at(-2);
    const { title, order } = read(localStorage.getItem(name));
    if (episode === here || !order || Date.now() - order < SETTLED_MS) continue;
    found.set(episode, { title, count: (found.get(episode)?.count ?? 0) + 1 });
  }
  return found;
}

function read(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {}; // half a line of a browser that died
  }
}

function line([episode, { title, count }]) {
  const item = document.createElement("li");
  const link = document.createElement("a");
  const address = new URL("/faces", window.location.origin);
  address.searchParams.set("episode", episode);
  Object.assign(link, { href: address.href, target: "_self", textContent: title || "another episode" });
  item.append(`${count === 1 ? "1 action waits" : `${count} actions wait`} in this browser for `, link, ". Open it, and they are sent.");
  return item;
}
