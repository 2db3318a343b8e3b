// What the service said (`server`), and what is shown of it: the same with the waiting actions applied.
// An action is shown the moment it is made; when the service answers, its answer takes the place of our guess.
// All functions return new values and change none.

export const EMPTY = Object.freeze({
  revision: 0, entities: new Map(), people: new Map(), faces: new Map(), doubts: null, suggestions: null,
  spans: null, timeline: null, totals: [], counts: {}, unresolved_ms: 0, undo: null, redo: null, media: {}, locked: false, title: "",
});

const keyed = (items, key) => new Map(items.map((item) => [item[key], item]));

/** The whole review, as GET /review gives it. Faces that were fetched before stay to look at, and count as stale. */
export function withView(server, view) {
  const stale = [...server.faces].map(([id, block]) => [id, { ...block, stale: block.stale || view.revision !== server.revision }]);
  return {
    ...server, ...view,
    entities: keyed(view.entities, "entity_id"), people: keyed(view.people, "person_id"), faces: new Map(stale),
  };
}

/** The answer to an edit: what it changed. One that is older than what is known says nothing new. */
export function withResult(server, result) {
  if (result.revision <= server.revision) return server;
  const entities = new Map(result.complete ? [] : server.entities);
  const faces = new Map(server.faces);
  for (const id of result.removed) {
    entities.delete(id);
    faces.delete(id);
  }
  for (const entity of result.entities) {
    entities.set(entity.entity_id, entity);
    if (faces.has(entity.entity_id)) faces.set(entity.entity_id, { ...faces.get(entity.entity_id), stale: true });
  }
  const { revision, counts, totals, unresolved_ms, undo, redo } = result;
  return { ...server, entities, faces, people: keyed(result.people, "person_id"), revision, counts, totals, unresolved_ms, undo, redo };
}

/** Faces of an entity, worst first; they come in columns, which are a third of the size. */
export function withFaces(server, { entity_id, total, columns }) {
  const rows = columns.det_id.map((det_id, i) => ({
    det_id, entity_id,
    piece_id: columns.pieces[columns.piece[i]],
    ts_ms: columns.ts_ms[i],
    box: columns.box.slice(4 * i, 4 * i + 4),
    distance: columns.distance[i],
    score: columns.score[i],
    pinned: Boolean(columns.pinned[i]),
  }));
  return { ...server, faces: new Map(server.faces).set(entity_id, { rows, total, stale: false }) };
}

/** What is shown: entities and faces with the waiting actions applied, oldest first; undo takes the last edit back. */
export function shown(server, actions) {
  const { edits, undoing } = standing(actions);
  const view = {
    entities: new Map(server.entities), people: server.people, spans: [...(server.spans ?? [])],
    gone: new Set(), pinned: new Set(), pairs: new Set(), locked: server.locked, undoing,
  };
  for (const action of edits) EFFECTS[action.operation.op]?.(view, action.operation, action);
  return view;
}

/** Waiting edits that waiting undos leave, and how many undos are about what the service has already. */
export function standing(actions) {
  const edits = [];
  let undoing = 0;
  for (const action of actions) {
    if (action.kind === "edit") edits.push(action);
    if (action.kind !== "undo") continue;
    const at = action.of ? edits.findIndex((e) => e.key === action.of) : action.number ? -1 : edits.length - 1;
    if (at < 0) undoing += 1;
    else edits.splice(at, 1);
  }
  return { edits, undoing };
}

/** Is a face of an entity's wall still in it? */
export function isThere(view, face) {
  return !view.gone.has(face.det_id) && !view.gone.has(face.piece_id);
}

/** The name of a pair of groups, whichever comes first. */
export function pairName(a, b) {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}

const EFFECTS = {
  assign(view, { subject, person, name }, { entity_id }) {
    const who = person ? { person_id: person, name: view.people.get(person)?.name ?? "" } : personNamed(view, name);
    const home = [...view.entities.values()].find((e) => e.kind === "person" && isPerson(e, who));
    for (const entity of wholly(view, subject)) {
      if (entity === home) view.entities.set(home.entity_id, { ...home, auto: false, reviewed: 1, low_conf: false });
      else if (home) join(view, home.entity_id, entity);
      else view.entities.set(entity.entity_id, { ...entity, kind: "person", ...who, auto: false, reviewed: 1, low_conf: false, mark: null });
    }
    const stays = home && home.entity_id === entity_id;
    for (const id of parts(subject)) (stays ? view.pinned : view.gone).add(id);
  },
  confirm(view, { groups }) {
    for (const entity of wholly(view, { groups })) view.entities.set(entity.entity_id, { ...entity, auto: false, reviewed: 1, low_conf: false, looks: 0 });
  },
  merge(view, { groups }) {
    const met = [...view.entities.values()].filter((e) => e.group_ids.some((g) => groups.includes(g)));
    const first = met.find((e) => e.kind === "person") ?? met.find((e) => e.group_ids.includes(groups[0]));
    for (const entity of met) if (entity !== first) join(view, first.entity_id, entity);
  },
  split(view, { subject }) {
    for (const id of parts(subject)) view.gone.add(id);
  },
  not_person(view, { subject }) {
    for (const entity of wholly(view, subject)) view.entities.delete(entity.entity_id);
    for (const id of parts(subject)) view.gone.add(id);
  },
  refuse(view, { group_a, group_b }) {
    view.pairs.add(pairName(group_a, group_b));
  },
  mark(view, { subject, mark }) {
    for (const entity of wholly(view, subject)) view.entities.set(entity.entity_id, { ...entity, mark });
    if (mark) for (const id of parts(subject)) view.gone.add(id);
  },
  rename_person(view, { person, name }) {
    for (const e of view.entities.values()) if (e.person_id === person) view.entities.set(e.entity_id, { ...e, name });
  },
  merge_people(view, { person, into }) {
    const [from, to] = [person, into].map((id) => [...view.entities.values()].find((e) => e.person_id === id));
    if (from && to) join(view, to.entity_id, from);
  },
  add_span(view, { person, name, kind, start_ms, end_ms }, { key }) {
    const known = person ? view.people.get(person)?.name : name;
    view.spans.push({ id: key, person_id: person ?? null, name: known ?? "", kind, start_ms, end_ms, waiting: true });
  },
  remove_span(view, { span }) {
    view.spans = view.spans.filter((s) => s.id !== span);
  },
  lock(view, { groups, locked }) {
    if (!groups?.length) view.locked = locked;
    for (const e of view.entities.values()) {
      if (e.group_ids.some((g) => groups?.includes(g))) view.entities.set(e.entity_id, { ...e, locked });
    }
  },
};

const parts = (subject) => [...(subject.pieces ?? []), ...(subject.faces ?? [])];

function wholly(view, subject) {
  const groups = new Set(subject.groups ?? []);
  return [...view.entities.values()].filter((e) => e.group_ids.length && e.group_ids.every((g) => groups.has(g)));
}

function personNamed(view, name) {
  const folded = name.toLowerCase();
  const found = [...view.people.values()].find((p) => p.name.toLowerCase() === folded);
  return found ? { person_id: found.person_id, name: found.name } : { person_id: null, name };
}

function isPerson(entity, who) {
  return who.person_id ? entity.person_id === who.person_id : entity.name.toLowerCase() === who.name.toLowerCase();
}

function join(view, intoId, entity) {
  const into = view.entities.get(intoId);
  const sum = (field) => into[field] + entity[field];
  view.entities.delete(entity.entity_id);
  view.entities.set(intoId, {
    ...into,
    group_ids: [...into.group_ids, ...entity.group_ids],
    piece_count: sum("piece_count"), face_count: sum("face_count"), seen_ms: sum("seen_ms"), screen_ms: sum("screen_ms"),
  });
}

// How the list of everyone is ordered: who has no name yet comes first, then names to check.
export const SECTIONS = [
  ["name", "To name"],
  ["check", "To check"],
  ["done", "Reviewed"],
  ["aside", "Set aside"],
];

/** The section that an entity belongs to. */
export function sectionOf(entity) {
  if (entity.mark) return "aside";
  if (entity.kind !== "person") return "name";
  return entity.auto || entity.reviewed < 1 ? "check" : "done";
}

/** All entities in the order of the list: by section, then the longest seen. */
export function ordered(entities) {
  const rank = Object.fromEntries(SECTIONS.map(([id], i) => [id, i]));
  return [...entities].sort((a, b) =>
    rank[sectionOf(a)] - rank[sectionOf(b)] || b.seen_ms - a.seen_ms || (a.entity_id < b.entity_id ? -1 : 1));
}

/** People and entities whose name holds all words that were typed, those that begin with them first. */
export function found(named, typed, most = 9) {
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
  const hits = named.filter((one) => words.every((w) => one.name.toLowerCase().includes(w)));
  const begins = (one) => (words.length && one.name.toLowerCase().startsWith(words[0]) ? 0 : 1);
  return hits.sort((a, b) => begins(a) - begins(b)).slice(0, most);
}
