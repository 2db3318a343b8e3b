"""The people of the demo in front of a set: cut out, put before scenery, and changing their expression."""

from functools import lru_cache
from typing import Final

import cv2
import numpy as np

from screenalyzer.demo import cast
from screenalyzer.demo.planes import Planes, cover, from_bgr, soften, with_alpha
from screenalyzer.demo.script import Part
from screenalyzer.types import Float32, UInt8

_MORPH: Final = 6  # frames from one expression to the next
_TURN: Final = 2  # frames of crossfade from one head angle to the next


@lru_cache(maxsize=160)
def _figure(person: str, sheet: str, look: int) -> tuple[UInt8, UInt8]:
    """Colours and opacity (0..255) of a cut-out cell."""
    picture = cast.expression(person, look) if sheet == "cell" else cast.head(person, look)
    colour, alpha = cast.cut_out(picture)
    return colour, np.rint(alpha * 255).astype(np.uint8)


@lru_cache(maxsize=16)
def standing(person: str, height: int) -> Planes:
    """A person from the chest up, cut out, `height` pixels high and as wide."""
    whole = cast.photo(person, "studio_portrait")
    side = height // 2 * 2
    colour, alpha = cast.cut_out(
        np.asarray(cv2.resize(whole, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    )
    return with_alpha(colour, alpha)


def backdrop(index: int, width: int, height: int, blur: float) -> UInt8:
    """Scenery out of focus, BGR; `blur` is the standard deviation as a fraction of the width."""
    picture = cast.scenery(index)
    matrix = cover((picture.shape[1], picture.shape[0]), (width, height), (0.5, 0.5), 1.0)
    flags = cv2.INTER_LINEAR
    filled = cv2.warpAffine(picture, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return soften(np.asarray(filled, np.uint8), width * blur)


@lru_cache(maxsize=64)
def _on_set(person: str, sheet: str, look: int, scenery: int) -> UInt8:
    colour, alpha = _figure(person, sheet, look)
    height, width = alpha.shape
    behind = backdrop(scenery, width, height, 0.02).astype(np.float32)
    opacity = alpha[..., None].astype(np.float32) / 255
    mixed = colour * opacity + behind * (1 - opacity)
    # Cells are shown larger than they are; a little sharpening makes up for it.
    soft = cv2.GaussianBlur(mixed, (0, 0), 1.2)
    return np.asarray(np.clip(mixed * 1.35 - soft * 0.35, 0, 255), np.uint8)


@lru_cache(maxsize=16)
def _flow(person: str, sheet: str, looks: tuple[int, int], scenery: int) -> Float32:
    """Where each pixel of the first look is in the second, float32[h, w, 2], by dense inverse search."""
    first, second = (cv2.cvtColor(_on_set(person, sheet, k, scenery), cv2.COLOR_BGR2GRAY) for k in looks)
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    return np.asarray(cv2.GaussianBlur(search.calc(first, second, None), (0, 0), 3), np.float32)


def _morph(person: str, looks: tuple[int, int], scenery: int, t: float) -> UInt8:
    """A face between two expressions: both moved along the flow between them, then mixed."""
    first, second = (_on_set(person, "cell", k, scenery) for k in looks)
    flow = _flow(person, "cell", looks, scenery)
    height, width = flow.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    moved = [
        cv2.remap(
            picture,
            x + k * flow[..., 0],
            y + k * flow[..., 1],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        for picture, k in ((first, -t), (second, 1 - t))
    ]
    return np.asarray(cv2.addWeighted(moved[0], 1 - t, moved[1], t, 0), np.uint8)


class Performer:
    """A person in front of a set, over the frames of a shot."""

    def __init__(self, part: Part, sheet: str, scenery: int) -> None:
        """Take a part.

        Args:
            part: who, and which looks when.
            sheet: "cell" for expressions, "head" for head angles.
            scenery: what is behind.
        """
        self.spot = cast.FACES[part.person]["cell" if sheet == "cell" else "front"]
        self._part, self._sheet, self._scenery = part, sheet, scenery
        self._shown: tuple[int, int, float] | None = None
        self._planes: Planes | None = None

    def planes(self, frame: int) -> Planes:
        """The picture at a frame of the shot; unchanged frames share one."""
        state = self._state(frame)
        if self._planes is None or state != self._shown:
            self._shown, self._planes = state, from_bgr(self._picture(*state))
        return self._planes

    def _state(self, frame: int) -> tuple[int, int, float]:
        """Look, next look, and how far towards it, 0..1."""
        part, steps = self._part, _MORPH if self._sheet == "cell" else _TURN
        done = sum(frame >= change for change in part.changes)
        if done == len(part.changes):
            return part.looks[done], part.looks[done], 0.0
        t = max(0.0, 1 - (part.changes[done] - frame) / steps)
        return part.looks[done], part.looks[done + 1] if t > 0 else part.looks[done], t

    def _picture(self, look: int, coming: int, t: float) -> UInt8:
        person = self._part.person
        if t == 0:
            return _on_set(person, self._sheet, look, self._scenery)
        if self._sheet == "cell":
            return _morph(person, (look, coming), self._scenery, t * t * (3 - 2 * t))
        first, second = (_on_set(person, self._sheet, k, self._scenery) for k in (look, coming))
        return np.asarray(cv2.addWeighted(first, 1 - t, second, t, 0), np.uint8)
