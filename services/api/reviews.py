"""Reviews as they are answered, straight from the domain's dataclasses to JSON: there may be 10,000 faces."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import to_json
from starlette.responses import Response

from screenalyzer.review import log
from screenalyzer.review.carrying.carry_report import report_of
from screenalyzer.review.cast import Cast
from screenalyzer.review.model import Person
from services.review.desks import Open
from services.review.edits import Made
from services.review.lines import Line

JSON = "application/json"


def answer(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer of dataclasses, plain data and times."""
    return Response(to_json(content), status, dict(headers or {}), JSON)


def review(held: Open, media: Mapping[str, str]) -> dict[str, Any]:
    """A whole review; the fields of `ReviewView`."""
    facts, glance, desk = held.facts, held.glance, held.desk
    return {
        "episode_id": glance.episode_id,
        "title": glance.title,
        "show": glance.paths.show,
        "show_id": glance.show_id,
        "duration_ms": facts.duration_ms,
        "start_ms": facts.start_ms,
        "width": facts.width,
        "height": facts.height,
        "fps": round(facts.fps, 3),
        "locked": desk.decisions.get("episode/locked") is True,
        "entities": list(held.entities.values()),
        "carried": report_of(
            dict(desk.decisions.items()),
            held.anchors,
            desk.people.values(),
            desk.base.carried,
            [c.cluster_id for c in desk.base.clustering.clusters],
        ),
        "published_revision": glance.published,
        "media": media,
        **_state(held),
    }


def result(made: Made) -> dict[str, Any]:
    """What an edit has changed; the fields of `EditResult`."""
    held = made.held
    complete = made.seen < held.since
    return {
        "edit": edit(made.line) if made.line else None,
        "others": [edit(line) for line in made.since],
        "complete": complete,
        "entities": [
            e for e in held.entities.values() if complete or held.changed.get(e.entity_id, 0) > made.seen
        ],
        "removed": [entity_id for entity_id, at in held.gone.items() if at > made.seen],
        "totals": held.desk.totals(),
        **_state(held),
    }


def edit(line: Line) -> dict[str, Any]:
    """A line of the log; the fields of `EditView`."""
    entry = line.entry
    return {
        "number": entry.number,
        "kind": entry.kind,
        "of": entry.of,
        "label": line.label,
        "actor": entry.actor,
        "at": line.at,
    }


def spans(held: Open) -> list[dict[str, Any]]:
    """Times that were added or taken away by hand, by start."""
    cast = Cast(held.desk.people, ())
    whose = [(s, cast.resolve(s.person)) for s in held.desk.spans()]
    return [
        {
            "id": s.span_id,
            "person_id": who,
            "name": cast.name(who),
            "kind": s.kind,
            "start_ms": s.span.start_ms,
            "end_ms": s.span.end_ms,
        }
        for s, who in whose
        if who is not None
    ]


def _state(held: Open) -> dict[str, Any]:
    """What every answer about a review ends with."""
    entries = [line.entry for line in held.lines]
    unnamed = [e for e in held.entities.values() if e.kind == "group" and e.mark is None]
    return {
        "revision": held.revision,
        "undo": _step(held.lines, log.undoable(entries)),
        "redo": _step(held.lines, log.redoable(entries)),
        "people": _people(held.desk.people.values()),
        "counts": {
            "people": sum(e.kind == "person" for e in held.entities.values()),
            "groups_unnamed": len(unnamed),
            "faces": sum(e.face_count for e in held.entities.values()),
            "pieces": sum(e.piece_count for e in held.entities.values()),
            "doubts": len(held.desk.doubts()),
            "suggestions": len(held.desk.suggestions()),
        },
        "unresolved_ms": sum(e.seen_ms for e in unnamed),
    }


def _people(everybody: "Sequence[Person] | Any") -> list[dict[str, str]]:
    found = [{"person_id": p.person_id, "name": p.name} for p in everybody if p.into is None]
    return sorted(found, key=lambda p: (p["name"].casefold(), p["person_id"]))


def _step(lines: Sequence[Line], entry: Any) -> dict[str, Any] | None:
    if entry is None:
        return None
    number = entry.number if entry.of is None else entry.of
    return {"number": number, "label": lines[number - 1].label}
