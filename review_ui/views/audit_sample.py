"""A random sample of faces that were named by the facebank alone, to see how far it can be trusted."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import streamlit as st

from review_ui.answers import Episode, Face, Review
from review_ui.client import Client
from review_ui.context import Context
from review_ui.parts import clock, empty, plain
from review_ui.state import section

_COUNTS: Final = (12, 24, 48, 96)
_ACROSS: Final = 8


@dataclass(frozen=True)
class _Drawn:
    """A sample as somebody sees it, however others edit meanwhile: what is saved is about these faces.

    Attributes:
        wanted: the episode, how many faces, and the seed.
        review: as it was.
        faces: of the sample.
    """

    wanted: tuple[str, int, int]
    review: Review
    faces: list[Face]


@dataclass
class _Sample:
    """Which sample the tab shows."""

    seed: int = 1
    said: str = ""
    drawn: _Drawn | None = None


def render(ctx: Context, episode: Episode) -> None:
    """Show it."""
    sample = section(_Sample)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        count = st.selectbox("Faces", _COUNTS, index=1, width=140)
        if st.button("Another sample", icon=":material/casino:"):
            sample.seed += 1
    if sample.said:
        st.success(sample.said, icon=":material/check_circle:")
        sample.said = ""
    now = ctx.client.review(episode["id"])
    drawn = _draw(ctx.client, sample, now, (episode["id"], count, sample.seed))
    if not drawn.faces:
        what = "No face was named by the facebank alone."
        empty(what, "Everything that has a name was looked at by somebody.", ":material/verified_user:")
        return
    st.markdown("Longer times on screen are drawn more often. Mark the faces that are somebody else.")
    wrong = _grid(drawn, ctx.api_url + now["media"]["thumb"])
    right = [f for f in drawn.faces if f["det_id"] not in wrong]
    if st.button(f"Save: {len(right)} right, {len(wrong)} wrong", type="primary", icon=":material/check:"):
        sample.drawn = None  # whatever comes of it, what is shown next is new
        save(ctx.client, drawn.review, right, [f for f in drawn.faces if f["det_id"] in wrong])
        share = len(wrong) / len(drawn.faces)
        sample.said = (
            f"Saved: {len(wrong)} of {len(drawn.faces)} were wrong ({share:.0%}). The audit log has it."
        )
        sample.seed += 1
        st.rerun()


def _draw(client: Client, sample: _Sample, now: Review, wanted: tuple[str, int, int]) -> _Drawn:
    """The sample that is shown already, else a new one."""
    if sample.drawn is None or sample.drawn.wanted != wanted or not sample.drawn.faces:
        sample.drawn = _Drawn(wanted, now, client.sample(*wanted))
    return sample.drawn


def _grid(drawn: _Drawn, thumb: str) -> set[str]:
    """The faces, with the name that each was given; returns those that were marked."""
    names = {e["entity_id"]: e["name"] for e in drawn.review["entities"]}
    wrong, seed = set(), drawn.wanted[-1]
    for row in _rows(drawn.faces):
        for column, face in zip(st.columns(_ACROSS), row, strict=False):
            name = names.get(face["entity_id"], "?")
            at = clock(face["ts_ms"] - drawn.review["start_ms"])
            with column:
                st.image(thumb.replace("{det}", face["det_id"]), width="stretch")
                st.caption(f"**{plain(name)}**, {face['score']:.0%}, at {at}")
                help_ = plain(f"This is not {name}")
                if st.checkbox("Wrong", key=f"wrong-{seed}-{face['det_id']}", help=help_):
                    wrong.add(face["det_id"])
    return wrong


def _rows(faces: list[Face]) -> Iterable[list[Face]]:
    return (faces[n : n + _ACROSS] for n in range(0, len(faces), _ACROSS))


def save(client: Client, review: Review, right: list[Face], wrong: list[Face]) -> None:
    """What was looked at is decided: right ones stay with their person, wrong ones leave them.

    Raises:
        ServiceError: somebody has changed the same since the review was read; what came before it is saved.
    """
    people = {e["entity_id"]: e["person_id"] for e in review["entities"]}
    episode_id, seen = review["episode_id"], review["revision"]
    for op, faces in (("not_person", wrong), ("assign", right)):
        for person in sorted({p for f in faces if (p := people.get(f["entity_id"]))}):
            pieces = sorted({f["piece_id"] for f in faces if people.get(f["entity_id"]) == person})
            operation: dict[str, Any] = {"op": op, "subject": {"pieces": pieces}, "person": person}
            found = client.edit(episode_id, operation, seen)
            if not found["others"]:  # else what they did was not seen here, and must be in the way of more
                seen = found["revision"]
