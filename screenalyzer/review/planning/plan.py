"""Turning what a person asks for into changes of decisions."""

from collections.abc import Callable
from typing import Any, Final

from screenalyzer.review.model import Planned
from screenalyzer.review.operations import Operation
from screenalyzer.review.planning import plan_groups, plan_people
from screenalyzer.review.planning.draft import Draft
from screenalyzer.review.state import State

_PLANS: Final[dict[str, Callable[[Draft, Any], str]]] = {
    "assign": plan_groups.assign,
    "confirm": plan_groups.confirm,
    "merge": plan_groups.merge,
    "split": plan_groups.split,
    "not_person": plan_groups.not_person,
    "refuse": plan_groups.refuse,
    "mark": plan_groups.mark,
    "rename_person": plan_people.rename_person,
    "merge_people": plan_people.merge_people,
    "add_span": plan_people.add_span,
    "remove_span": plan_people.remove_span,
    "lock": plan_people.lock,
}


def plan(state: State, operation: Operation) -> Planned:
    """Work an operation out against a state.

    Raises:
        EditRefusedError: it names what is not there, is locked, or contradicts a decision; says what to do.
    """
    draft = Draft(state)
    label = _PLANS[operation.op](draft, operation)
    return draft.planned(label)
