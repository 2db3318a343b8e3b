"""Lists in pages: a cursor names the last row that was read, so rows that come or go shift nothing."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Generic, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, Select, and_, or_
from sqlalchemy.orm import InstrumentedAttribute, Session

from services.api.problems import ApiError
from services.db.models import UtcDateTime

Item = TypeVar("Item")
Row = TypeVar("Row")

LARGEST_PAGE: Final = 200
_LONGEST_CURSOR: Final = 2000


class Page(BaseModel, Generic[Item]):
    """A part of a list."""

    items: list[Item]
    next: str | None = Field(description="send it as `cursor` to read on; null at the end")


@dataclass(frozen=True)
class Paging:
    """Which part of a list is asked for.

    Attributes:
        limit: rows, at most.
        cursor: where the part before ended; None for the first.
    """

    limit: int
    cursor: str | None


def get_paging(
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE, description="rows of a page, at most")] = 50,
    cursor: Annotated[
        str | None,
        Query(max_length=_LONGEST_CURSOR, description="`next` of the page before", examples=[None]),
    ] = None,
) -> Paging:
    """The two parameters of every list."""
    return Paging(limit, cursor)


PagingDep = Annotated[Paging, Depends(get_paging)]


@dataclass(frozen=True)
class Order:
    """What a list is sorted by: columns of times or texts, unique together, all in one direction."""

    columns: Sequence[InstrumentedAttribute[Any]]
    descending: bool = False


def read_page(
    session: Session, query: Select[Row], order: Order, paging: Paging
) -> tuple[list[Row], str | None]:
    """The rows of a page, and the cursor of the next one.

    Args:
        session: to read from.
        query: of one entity, without an order.
        order: of the list; its columns belong to the entity.
        paging: the page.

    Raises:
        ApiError: 422 where the cursor is not one of this list.
    """
    keys = [c.desc() if order.descending else c.asc() for c in order.columns]
    if paging.cursor is not None:
        query = query.where(_after(order, _decode(order, paging.cursor)))
    rows = list(session.scalars(query.order_by(*keys).limit(paging.limit + 1)))
    kept = rows[: paging.limit]
    more = len(rows) > paging.limit
    return kept, encode([getattr(kept[-1], c.key) for c in order.columns]) if more else None


def slice_page(
    rows: Sequence[Row], key: Callable[[Row], str], paging: Paging
) -> tuple[list[Row], str | None]:
    """A page of rows that lie in memory, sorted by a unique key.

    Raises:
        ApiError: 422 where the cursor is not one of this list.
    """
    if paging.cursor is not None:
        found = decode(paging.cursor)
        if len(found) != 1 or not isinstance(found[0], str):
            raise _bad_cursor()
        last = found[0]
        rows = [r for r in rows if key(r) > last]
    kept = list(rows[: paging.limit])
    return kept, encode([key(kept[-1])]) if len(rows) > paging.limit else None


def encode(values: Sequence[Any]) -> str:
    """A cursor: opaque, and safe in a URL."""
    plain = [v.isoformat() if isinstance(v, datetime) else v for v in values]
    return urlsafe_b64encode(json.dumps(plain).encode()).decode().rstrip("=")


def decode(cursor: str) -> list[Any]:
    """The values in a cursor.

    Raises:
        ApiError: 422 where it is none.
    """
    try:
        raw = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        found = json.loads(raw)
    except (ValueError, RecursionError) as e:  # also what is no ASCII, no base64, no UTF-8 or no JSON
        raise _bad_cursor() from e
    if not isinstance(found, list):
        raise _bad_cursor()
    return found


def _decode(order: Order, cursor: str) -> list[Any]:
    found = decode(cursor)
    if len(found) != len(order.columns):
        raise _bad_cursor()
    return [_typed(c, v) for c, v in zip(order.columns, found, strict=True)]


def _typed(column: InstrumentedAttribute[Any], value: Any) -> Any:
    """The value as the column wants it; whatever a database could choke on is none of ours."""
    if isinstance(column.type, UtcDateTime):
        return _moment(value)
    if not isinstance(value, str) or not value.isprintable():
        raise _bad_cursor()
    return value


def _moment(value: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError) as e:
        raise _bad_cursor() from e
    raise _bad_cursor()


def _after(order: Order, values: Sequence[Any]) -> ColumnElement[bool]:
    """Rows behind the last one: (a, b) > (x, y), written out for every database."""
    alternatives = []
    for n, (column, value) in enumerate(zip(order.columns, values, strict=True)):
        behind = column < value if order.descending else column > value
        same = [c == v for c, v in zip(order.columns[:n], values[:n], strict=True)]
        alternatives.append(and_(*same, behind))
    return or_(*alternatives)


def _bad_cursor() -> ApiError:
    return ApiError(422, "bad-cursor", "This cursor is none of this list. Begin without one.")
