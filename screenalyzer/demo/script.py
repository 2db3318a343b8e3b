"""What happens in an episode of the demo, frame by frame, and the truth that follows from it.

No pixel is touched here: the same seed gives the same script and the same truth on every machine. Screen
time is by visible face: the back of a head is nobody, and a person who walks out counts until the middle
of the face leaves the frame.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any, Final

from screenalyzer.demo import cast

FPS: Final = 25
FRAME_MS: Final = 1000 // FPS

CASTS: Final = {
    "season": (
        ("P001", "P003", "P005", "P007", "P002", "P008"),
        ("P001", "P003", "P005", "P007", "P004", "P009", "P008"),
        ("P001", "P003", "P005", "P007", "P002", "P009", "P004"),
    ),
    "hard": (cast.HARD_CAST,),
}

# style, people, fewest and most frames, how often in an episode of 96 s
_DECK: Final = (
    ("closeup", 1, 60, 105, 7),
    ("photo", 1, 50, 85, 4),
    ("panels", 2, 70, 110, 4),
    ("panels", 3, 75, 115, 3),
    ("scene", 2, 65, 100, 2),
    ("turn", 1, 60, 80, 2),
    ("walk", 1, 100, 125, 1),
    ("walk", 2, 110, 130, 1),
    ("blip", 1, 5, 10, 3),
    ("scenery", 0, 30, 50, 2),
    ("graphic", 0, 32, 46, 1),
    ("back", 0, 24, 34, 1),
)
_OPENING, _CLOSING = 50, 42
_SHORTEST = 40
_STRIDE = 14  # frames it takes to walk out of the frame, or back
_PROFILE = 12  # frames a head is turned to the side: a moment, as detectors see profiles least well
_FUSE_MS = 2000  # rule 1 of the screen-time rules
_SHARES = (2.2, 1.6, 1.3, 1.0, 0.9, 0.7, 0.6)
_LIGHTS = ("warm", "cool", "dusk", "dawn", "hard", "soft")


@dataclass(frozen=True)
class Walk:
    """Leaving the frame and coming back: first frame of either within the shot, and to which side."""

    leaves: int
    returns: int
    side: int


@dataclass(frozen=True)
class Part:
    """A person in a shot: the pictures shown in turn, and the frames at which the next one is reached."""

    person: str
    looks: tuple[int, ...] = (0,)
    changes: tuple[int, ...] = ()
    walk: Walk | None = None
    slot: float = 0.5

    def middle(self, frame: int) -> float:
        """Where the middle of the face is, as a fraction of the frame's width; outside 0..1 while away."""
        if self.walk is None:
            return self.slot
        out = _ease((frame - self.walk.leaves) / _STRIDE) - _ease((frame - self.walk.returns) / _STRIDE)
        return self.slot + self.walk.side * 0.9 * out


@dataclass(frozen=True)
class Camera:
    """A slow move from the first to the last frame: zoom, and pan as fractions of the frame."""

    zoom: tuple[float, float]
    pan: tuple[float, float]


@dataclass(frozen=True)
class Shot:
    """One shot: `length` frames from frame `start` of the episode.

    Attributes:
        style: how it is drawn.
        backdrop: which scenery is behind.
        variant: which of a style's layouts or photos.
        light: a change of light, or none.
        focus: 1 comes into focus at the start, -1 goes out of focus at the end, 0 is sharp.
        tag: whether the person is introduced by name.
    """

    style: str
    start: int
    length: int
    parts: tuple[Part, ...]
    camera: Camera
    backdrop: int = 0
    variant: int = 0
    light: str = "none"
    focus: int = 0
    tag: bool = False

    def people(self, frame: int) -> tuple[str, ...]:
        """Whose face is visible in a frame of the shot."""
        if self.style == "back":
            return ()
        return tuple(p.person for p in self.parts if 0 <= p.middle(frame) <= 1)


@dataclass(frozen=True)
class Script:
    """An episode: its number, who may appear, and its shots, which tile it."""

    name: str
    number: int
    cast: tuple[str, ...]
    shots: tuple[Shot, ...]

    @property
    def length(self) -> int:
        """Frames."""
        return sum(s.length for s in self.shots)


def _ease(t: float) -> float:
    t = min(max(t, 0.0), 1.0)
    return t * t * (3 - 2 * t)


def write_script(name: str, number: int, people: Sequence[str], seconds: float, seed: int) -> Script:
    """Write an episode.

    A gap of about 2 s between two appearances is fused or not by a frame more or less, which says nothing
    about anyone's work; drafts that have one are thrown away where there is another.

    Args:
        name: of the episode.
        number: of the episode, from 1.
        people: who may appear.
        seconds: how long it is, at least 8.
        seed: everything follows from it.
    """
    best: tuple[int, Script] | None = None
    for draft in range(200):
        author = _Author(random.Random(f"{seed}:{name}:{draft}"), tuple(people), round(seconds * FPS))
        script = Script(name, number, tuple(people), tuple(author.write()))
        edgy = _edgy_gaps(script)
        if best is None or edgy < best[0]:
            best = (edgy, script)
        if edgy == 0:
            break
    assert best is not None
    return best[1]


def _edgy_gaps(script: Script) -> int:
    """How many gaps between appearances of one person are close to the length at which gaps are fused."""
    spans: dict[str, list[tuple[int, int]]] = {}
    for shot in truth(script)["shots"]:
        for person in shot["people"]:
            spans.setdefault(person, []).append((shot["start_ms"], shot["end_ms"]))
    gaps = [b[0] - a[1] for appearances in spans.values() for a, b in pairwise(appearances)]
    return sum(abs(gap - _FUSE_MS) < 300 for gap in gaps)


def truth(script: Script) -> dict[str, Any]:
    """Who is visible when, exact to the frame; entries tile the episode, shots are split where it changes."""
    entries: list[dict[str, Any]] = []
    for shot in script.shots:
        for people, frames in groupby(range(shot.length), shot.people):
            run = list(frames)
            kind = "blip" if shot.style == "blip" else ("none", "one", "two", "three")[len(people)]
            start, end = shot.start + run[0], shot.start + run[-1] + 1
            entries.append(
                {"start_ms": start * FRAME_MS, "end_ms": end * FRAME_MS, "people": list(people), "kind": kind}
            )
    seen = sorted({p for e in entries for p in e["people"]})
    return {
        "episode": script.name,
        "fps": FPS,
        "duration_ms": script.length * FRAME_MS,
        "cast": seen,
        "names": {p: cast.NAMES[p] for p in seen},
        "shots": entries,
    }


class _Author:
    """Draws shots from a shuffled deck until the episode is full."""

    def __init__(self, rng: random.Random, people: tuple[str, ...], frames: int) -> None:
        self._rng, self._people, self._frames = rng, people, frames
        shares = list(_SHARES[: len(people)])
        rng.shuffle(shares)
        self._share = dict(zip(people, shares, strict=True))
        self._used = dict.fromkeys(people, 0.0)
        self._introduced: set[str] = set()
        self._last: tuple[str, ...] = ()

    def write(self) -> list[Shot]:
        shots = [self._shot("title", 0, 0, _OPENING)]
        at, end = _OPENING, self._frames - _CLOSING
        deck: list[tuple[str, int, int, int]] = []
        while at < end:
            if not deck:
                deck = [(style, n, low, high) for style, n, low, high, times in _DECK for _ in range(times)]
                self._rng.shuffle(deck)
            style, count, low, high = deck.pop()
            length = self._rng.randint(low, high)
            if end - at < _SHORTEST + high:
                style, count, length = "closeup", 1, end - at
            shots.append(self._shot(style, count, at, length))
            at += length
        shots.append(self._shot("closing", 0, end, _CLOSING))
        return shots

    def _shot(self, style: str, count: int, start: int, length: int) -> Shot:
        rng = self._rng
        people = self._pick(style, count, length)
        calm = style in ("title", "closing", "graphic", "blip")
        shot = Shot(
            style=style,
            start=start,
            length=length,
            parts=tuple(self._part(style, p, i, len(people), length) for i, p in enumerate(people)),
            camera=self._camera(),
            backdrop=rng.randrange(cast.SHARP_SCENERY if style == "scenery" else len(cast.SCENERY)),
            variant=rng.randrange(6),
            light="none" if calm or rng.random() < 0.6 else rng.choice(_LIGHTS),
            focus=0 if calm or rng.random() < 0.85 else rng.choice((1, -1)),
            tag=style in ("closeup", "photo") and length >= 50 and people[0] not in self._introduced,
        )
        if shot.tag:
            self._introduced.add(people[0])
        return shot

    def _pick(self, style: str, count: int, length: int) -> tuple[str, ...]:
        """Who is in a shot: by chance, those furthest below their share; or again who was just seen alone."""
        rng = self._rng
        chosen: tuple[str, ...] = (rng.choice(self._people),)
        if style == "back":
            return chosen
        if count == 1 and len(self._last) == 1 and rng.random() < 0.2:
            chosen = self._last
        else:
            order = sorted(self._people, key=lambda p: self._used[p] / self._share[p] + rng.random() * 120)
            if count == 1:
                order = [p for p in order if p not in self._last] or order
            chosen = tuple(order[:count])
        for person in chosen:
            self._used[person] += length
        self._last = chosen
        return chosen

    def _camera(self) -> Camera:
        rng = self._rng
        zoom = (1.0 + rng.uniform(0, 0.02), 1.06 + rng.uniform(0, 0.04))
        pan = (rng.uniform(-0.02, 0.02), rng.uniform(-0.01, 0.01))
        return Camera(zoom if rng.random() < 0.6 else (zoom[1], zoom[0]), pan)

    def _part(self, style: str, person: str, index: int, count: int, length: int) -> Part:
        rng = self._rng
        if style == "turn":
            at = rng.randint(20, length - _PROFILE - 18)
            side = rng.choice((cast.LEFT, cast.RIGHT))
            return Part(person, (cast.FRONT, side, cast.FRONT), (at, at + _PROFILE))
        if style in ("scene", "walk"):
            return Part(person, slot=_slot(index, count), walk=self._walk(style, index, count, length))
        looks, changes = [rng.randrange(cast.EXPRESSIONS)], []
        at = rng.randint(15, 37)
        while style in ("closeup", "panels") and at < length - 10:
            looks.append(rng.choice([e for e in range(cast.EXPRESSIONS) if e != looks[-1]]))
            changes.append(at)
            at += rng.randint(15, 37)
        return Part(person, tuple(looks), tuple(changes))

    def _walk(self, style: str, index: int, count: int, length: int) -> Walk | None:
        if style != "walk" or index != count - 1:
            return None
        leaves = self._rng.randint(28, 36)
        away = self._rng.randint(10, 20)  # out of sight for less than the 2 s that rule 1 fuses
        return Walk(leaves, min(leaves + _STRIDE + away, length - _STRIDE - 14), 1)


def _slot(index: int, count: int) -> float:
    return 0.5 if count == 1 else (0.29, 0.71)[index]
