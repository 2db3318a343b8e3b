// A selection of things in a list, as a new value each time: {ids, anchor}.

export const NOTHING = Object.freeze({ ids: new Set(), anchor: null });

/** The thing is in, if it was out; out, if it was in. It becomes the start of the next range. */
export function toggled(selection, id) {
  const ids = new Set(selection.ids);
  if (!ids.delete(id)) ids.add(id);
  return { ids, anchor: id };
}

/** All from the anchor to the thing are in as well; without an anchor in the list it is the thing alone. */
export function extended(selection, id, order) {
  const [a, b] = [order.indexOf(selection.anchor), order.indexOf(id)];
  if (a < 0 || b < 0) return toggled({ ids: selection.ids, anchor: null }, id);
  const ids = new Set(selection.ids);
  for (const one of order.slice(Math.min(a, b), Math.max(a, b) + 1)) ids.add(one);
  return { ids, anchor: selection.anchor };
}

/** Only what is still in the list. */
export function kept(selection, present) {
  const ids = new Set([...selection.ids].filter((id) => present.has(id)));
  return ids.size === selection.ids.size ? selection : { ids, anchor: selection.anchor };
}
