"""How figures are handed on until they are told: by name, then by the values of their labels."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

Rows = dict[tuple[str, ...], float]
Values = dict[str, Rows]


def counts(session: Session, *columns: InstrumentedAttribute[str]) -> Rows:
    """How many rows of a table have each combination of values."""
    groups: Sequence[ColumnElement[str]] = [c.expression for c in columns]
    rows = session.execute(select(*groups, func.count()).group_by(*groups))
    return {tuple(row[:-1]): float(row[-1]) for row in rows}
