"""Counters in SQL: added to in the transaction of what is counted, so they are exact and never fall.

A sum over rows would fall when rows go, and Prometheus would take that for a counter that began anew.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import event, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from services.db.figures import Tally

Adds = dict[tuple[str, str], float]  # (name of the tally, its label) to what is added

_INSERT: Final[dict[str, Any]] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}
_SUM, _COUNT = "sum", "count"
_WAITING: Final = "tallies"


def add(session: Session, adds: Mapping[tuple[str, str], float]) -> None:
    """Add to tallies when the transaction commits; one that is not there yet begins at zero.

    They are locked last, and by everybody in one order, so that nobody waits for each other in a ring.
    """
    if _WAITING not in session.info:
        session.info[_WAITING] = {}
        event.listen(session, "before_commit", _write, once=True)
    waiting: Adds = session.info[_WAITING]
    for key, more in adds.items():
        waiting[key] = waiting.get(key, 0.0) + more


def _write(session: Session) -> None:
    adds: Adds = session.info.pop(_WAITING)
    rows = [
        {"name": name, "label": label, "value": value}
        for (name, label), value in sorted(adds.items())
        if value
    ]
    if not rows:
        return
    statement = _INSERT[session.get_bind().dialect.name](Tally).values(rows)
    grown = {"value": Tally.value + statement.excluded.value}
    session.execute(statement.on_conflict_do_update(index_elements=["name", "label"], set_=grown))


def observed(name: str, label: str, values: Sequence[float], bounds: Sequence[float]) -> Adds:
    """What observations add to a histogram: to the first bound that each is not above, the sum, the count.

    Args:
        name: of the histogram.
        label: of the series; empty where there is one.
        values: what was observed.
        bounds: upper bounds, ascending; what is above the last is in sum and count alone.
    """
    adds: Adds = {}
    for value in values:
        bound = next((f"{b:g}" for b in bounds if value <= b), None)
        for part, more in ((bound, 1.0), (_SUM, value), (_COUNT, 1.0)):
            if part is not None:
                key = name, f"{label}/{part}"
                adds[key] = adds.get(key, 0.0) + more
    return adds


def read(session: Session) -> dict[str, dict[str, float]]:
    """All tallies: name to label to value."""
    found: dict[str, dict[str, float]] = {}
    for name, label, value in session.execute(select(Tally.name, Tally.label, Tally.value)):
        found.setdefault(name, {})[label] = value
    return found


def histogram(
    parts: Mapping[str, float], bounds: Sequence[float]
) -> dict[str, tuple[list[tuple[str, float]], float]]:
    """A histogram's tallies as series: label to its buckets, each with all below it, and its sum."""
    labels = sorted({key.rsplit("/", 1)[0] for key in parts})
    found = {}
    for label in labels:
        below, buckets = 0.0, []
        for bound in bounds:
            below += parts.get(f"{label}/{bound:g}", 0.0)
            buckets.append((f"{bound:g}", below))
        buckets.append(("+Inf", parts.get(f"{label}/{_COUNT}", 0.0)))
        found[label] = buckets, parts.get(f"{label}/{_SUM}", 0.0)
    return found
