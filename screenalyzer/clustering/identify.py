"""Who of the facebank the groups of an episode are, before anything is grouped."""

import numpy as np

from screenalyzer.clustering.calibration import Calibration
from screenalyzer.clustering.links import Links
from screenalyzer.types import Float64, Int64


def identify(to_person: Float64, names: tuple[str, ...], links: Links, metric: Calibration) -> Int64:
    """Open-set identification: a group is a person only when near, and by a margin nearer than to others.

    Groups that a person labelled are what they were labelled. Two groups that must stay apart are never one
    person: the nearer one is, and the other stays unknown.

    Args:
        to_person: float64[c, p], distance of each group to each named person; infinite without faces.
        names: the p people.
        links: constraints over the c groups.
        metric: limits.

    Returns:
        int64[c]: index into names, or -1.
    """
    owner = np.full(len(to_person), -1, dtype=np.int64)
    for group, name in links.labels.items():
        owner[group] = names.index(name)
    if not names:
        return owner
    allowed = to_person.copy()
    for group, name in links.not_named:
        if name in names:
            allowed[group, names.index(name)] = np.inf
    ranked = np.sort(allowed, axis=1)
    best = allowed.argmin(axis=1)
    clear = ranked[:, 0] <= metric.identify
    if len(names) > 1:
        # Subtraction of two infinities would warn; such a group is not clear anyway.
        second = np.where(np.isfinite(ranked[:, 1]), ranked[:, 1], 2.0)
        clear &= second - np.minimum(ranked[:, 0], 2.0) >= metric.margin
    for group in np.argsort(ranked[:, 0], kind="stable"):
        if owner[group] < 0 and clear[group] and not links.apart[group, owner == best[group]].any():
            owner[group] = best[group]
    return owner
