// What can be done to a page's target: say who it is, set it aside, split or merge it, rename or lock it.

/** Do what a command asks; false where the page has no target for it. */
export function naming(desk, command) {
  const target = desk.page.target;
  const act = COMMANDS[command.name];
  if (!target || !act) return false;
  act(desk, target, command);
  return true;
}

const COMMANDS = {
  take(desk, target, { digit }) {
    const candidates = target.candidates.filter((c) => c.person_id !== target.entity.person_id || target.partial);
    const candidate = candidates[digit - 1];
    if (candidate) assign(desk, target, { person: candidate.person_id }, candidate.name);
    else desk.say(`There is no suggestion ${digit}. / searches people, N names a new one.`);
  },
  accept(desk, target) {
    const { entity } = target;
    const first = target.candidates[0];
    if (target.rows?.length > 1) acceptRows(desk, target);
    else if (entity.kind === "person" && !isSelection(desk)) assign(desk, target, { person: entity.person_id }, entity.name);
    else if (first) assign(desk, target, { person: first.person_id }, first.name);
    else desk.say("There is no suggestion to accept. / searches people, N names a new one.");
  },
  search(desk, target) {
    desk.picker.ask({
      title: `Who is ${target.label}?`, hint: "Search people of the show", named: people(desk),
      fresh: (typed) => `New person “${typed}”`,
      chosen: ({ person_id, name, typed }) => assign(desk, target, person_id ? { person: person_id } : { name: typed }, name ?? typed),
    });
  },
  new(desk, target) {
    desk.picker.ask({
      title: `New person: ${target.label}`, hint: "Name", named: [], fresh: (typed) => `Name them “${typed}”`,
      chosen: ({ typed }) => assign(desk, target, { name: typed }, typed),
    });
  },
  split(desk, target) {
    if (!target.partial) return desk.say("Select the faces that are somebody else first: click, or Space. Then S.");
    return desk.act({ op: "split", subject: target.subject }, `Split ${target.label} off`, target);
  },
  not_face: (desk, target) => mark(desk, target, "not_face", "not a face"),
  background: (desk, target) => mark(desk, target, "background", "background"),
  not_person(desk, target) {
    const { entity, subject, label } = target;
    if (entity.kind !== "person") return desk.say("These have no name yet, so there is nobody they could not be.");
    return desk.act({ op: "not_person", subject, person: entity.person_id }, `${label}: not ${entity.name}`, target);
  },
  merge(desk, target) {
    const rows = target.rows ?? [target.entity];
    if (rows.length > 1) return merge(desk, rows, target);
    const others = [...desk.view.entities.values()].filter((e) => e !== target.entity && !e.mark);
    return desk.picker.ask({
      title: `Merge ${target.entity.name} with…`, hint: "Search people and groups",
      named: others.map((entity) => ({ name: entity.name, note: `${entity.face_count} faces`, entity })), fresh: null,
      chosen: ({ entity }) => merge(desk, [target.entity, entity], target),
    });
  },
  rename(desk, { entity }) {
    if (entity.kind !== "person") return desk.say("N or / gives this group a name; R renames people who have one.");
    return desk.picker.ask({
      title: `Rename ${entity.name} in all episodes of the show`, hint: "Name", value: entity.name, named: [],
      fresh: (typed) => `Rename to “${typed}”`,
      chosen: ({ typed }) => desk.act({ op: "rename_person", person: entity.person_id, name: typed }, `Renamed ${entity.name} to ${typed}`),
    });
  },
  lock(desk, { entity }) {
    const locked = !entity.locked;
    desk.act({ op: "lock", groups: entity.group_ids, locked }, `${locked ? "Locked" : "Unlocked"} ${entity.name}`);
  },
};

// Enter with several rows: people are confirmed, each as who they are; groups become the one person among them or,
// without one, the first suggestion for the row that is open. What came of it is said with its name and count.
function acceptRows(desk, target) {
  const { rows, entity } = target;
  const named = rows.filter((e) => e.kind === "person");
  const names = named.map((e) => e.name).join(", ");
  if (named.length === rows.length) desk.act({ op: "confirm", groups: rows.flatMap((e) => e.group_ids) }, `Confirmed ${names}`, target);
  else if (named.length > 1) desk.say(`Groups without a name are chosen with ${names}: choose whose they are with / or a number, or drop a row.`);
  else {
    const who = named[0] ?? target.candidates[0];
    if (!who) desk.say(`There is no suggestion for ${entity.name}. / names all ${rows.length} that are chosen, N somebody new.`);
    else assign(desk, target, { person: who.person_id }, who.name);
  }
}

const isSelection = (desk) => Boolean(desk.page.selected?.ids.size);

const people = (desk) => [...desk.view.people.values()];

function assign(desk, target, who, name) {
  const same = who.person && who.person === target.entity.person_id && !(target.rows?.length > 1);
  desk.act({ op: "assign", subject: target.subject, ...who }, same ? `Confirmed ${target.label}` : `${target.label} → ${name}`, target);
}

function mark(desk, target, wanted, word) {
  const off = !target.partial && target.entity.mark === wanted;
  desk.act({ op: "mark", subject: target.subject, mark: off ? null : wanted }, off ? `${target.label}: no longer ${word}` : `${target.label}: ${word}`, target);
}

// Groups become one person. Two people of the show who turn out to be one are merged in all its episodes.
function merge(desk, rows, target) {
  const named = rows.filter((e) => e.kind === "person");
  const text = `Merged ${rows.map((e) => e.name).join(" and ")}`;
  if (named.length > 1) {
    const [into, ...others] = named;
    const ask = others.map((e) => e.name).join(", ");
    desk.ask(`Are ${ask} and ${into.name} one person?`, `They become ${into.name} in all episodes of the show.`, () => {
      for (const one of others) desk.act({ op: "merge_people", person: one.person_id, into: into.person_id }, `Merged ${one.name} into ${into.name}`);
    });
    return;
  }
  desk.act({ op: "merge", groups: [...new Set(rows.flatMap((e) => e.group_ids))] }, text, { ...target, stays: named[0] ?? rows[0] });
}
