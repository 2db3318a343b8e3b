"""Frames of a shot: one painter a style, then light, focus, name tag and film noise on top."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from screenalyzer.demo import cast, graphics
from screenalyzer.demo.planes import (
    BLACK,
    Frame,
    Planes,
    affine,
    blend,
    cover,
    from_bgr,
    put,
    rounded,
    shade,
    soften,
    warp,
    with_alpha,
)
from screenalyzer.demo.script import Part, Script, Shot
from screenalyzer.demo.studio import Performer, backdrop, standing
from screenalyzer.types import UInt8

Painter = Callable[[Frame, int], None]

# Left, top, width and height as fractions of the frame.
_PAIRS: Final = (
    ((0.040, 0.120, 0.450, 0.760), (0.510, 0.120, 0.450, 0.760)),
    ((0.040, 0.080, 0.570, 0.840), (0.640, 0.240, 0.320, 0.520)),
    ((0.040, 0.240, 0.320, 0.520), (0.390, 0.080, 0.570, 0.840)),
)
_TRIPLES: Final = (
    ((0.030, 0.150, 0.300, 0.700), (0.350, 0.150, 0.300, 0.700), (0.670, 0.150, 0.300, 0.700)),
    ((0.040, 0.080, 0.520, 0.840), (0.590, 0.080, 0.370, 0.405), (0.590, 0.515, 0.370, 0.405)),
)
_CORNER: Final = 0.022  # radius of a panel's corners, as a fraction of the frame's width
_FACE: Final = 0.68  # faces are brought to about this part of the height of what shows them


def frames(script: Script, width: int, height: int) -> Iterator[Frame]:
    """Every frame of an episode in order; the array behind them is used again for the next."""
    frame = Frame.of_size(width, height)
    number = 0
    for shot in script.shots:
        painter = _painter(script, shot, width, height)
        for index in range(shot.length):
            painter(frame, index)
            _finish(frame, shot, index, number)
            number += 1
            yield frame


def _painter(script: Script, shot: Shot, width: int, height: int) -> Painter:
    if shot.style in ("title", "closing"):
        return _card(script, shot, width, height)
    if shot.style == "graphic":
        return lambda frame, i: put(frame, graphics.chart(width, height, i / shot.length, shot.variant))
    makers = {
        "photo": _photo,
        "panels": _panels,
        "scene": _scene,
        "walk": _scene,
        "turn": _turn,
        "back": _turn,
        "scenery": _scenery,
    }
    return makers.get(shot.style, _closeup)(shot, width, height)


def _progress(shot: Shot, index: int) -> float:
    t = index / max(1, shot.length - 1)
    return t * t * (3 - 2 * t)


def _zoom(shot: Shot, index: int) -> float:
    first, last = shot.camera.zoom
    return first + (last - first) * _progress(shot, index)


def _pan(shot: Shot, index: int, phase: float = 0.0) -> tuple[float, float]:
    """Pan, and the slight sway of a camera held by hand, as fractions of the picture."""
    along = _progress(shot, index) - 0.5
    sway = 0.003 * math.sin(index / 17 + phase), 0.003 * math.sin(index / 23 + 1 + phase)
    return shot.camera.pan[0] * along + sway[0], shot.camera.pan[1] * along + sway[1]


def _fit(spot: cast.Spot) -> float:
    """Zoom that brings small faces up to the size of the others."""
    return min(max(_FACE / spot.height, 1.0), 1.18)


def _card(script: Script, shot: Shot, width: int, height: int) -> Painter:
    picture = from_bgr(backdrop(shot.backdrop, width, height, 0.012))
    title = "Screenalyzer demo" if shot.style == "title" else "To be continued"
    overlay = graphics.card(width, height, title, f"Episode {script.number}", script.number)

    def paint(frame: Frame, index: int) -> None:
        pan = _pan(shot, index)
        matrix = cover(picture.size, frame.size, (0.5 + pan[0], 0.5 + pan[1]), _zoom(shot, index) + 0.03)
        put(frame, warp(picture, matrix, frame.size))
        blend(frame, overlay, strength=min(1.0, (index + 1) / 14))

    return paint


def _closeup(shot: Shot, width: int, height: int) -> Painter:
    """One person fills the frame. Also blips."""
    actor = Performer(shot.parts[0], "cell", shot.backdrop)

    def paint(frame: Frame, index: int) -> None:
        pan = _pan(shot, index)
        focus = (actor.spot.x + pan[0], actor.spot.y + pan[1])
        picture = actor.planes(index)
        zoom = _zoom(shot, index) * min(_fit(actor.spot), 1.06)
        put(frame, warp(picture, cover(picture.size, (width, height), focus, zoom), (width, height)))

    return paint


def _photo(shot: Shot, width: int, height: int) -> Painter:
    person, selfie = shot.parts[0].person, shot.variant % 2 == 0
    spot = cast.FACES[person]["selfie" if selfie else "posture"]
    picture = from_bgr(cast.photo(person, "amateur_selfie" if selfie else "amateur_posture"))
    base = 1.0 if selfie else 1.45

    def paint(frame: Frame, index: int) -> None:
        pan = _pan(shot, index)
        matrix = cover(
            picture.size, (width, height), (spot.x + pan[0], spot.y + pan[1] / 2), base * _zoom(shot, index)
        )
        put(frame, warp(picture, matrix, (width, height)))

    return paint


def _scenery(shot: Shot, width: int, height: int) -> Painter:
    picture = from_bgr(cast.scenery(shot.backdrop))

    def paint(frame: Frame, index: int) -> None:
        pan = _pan(shot, index)
        matrix = cover(
            picture.size, (width, height), (0.5 + 2 * pan[0], 0.5 + pan[1]), _zoom(shot, index) + 0.04
        )
        put(frame, warp(picture, matrix, (width, height)))

    return paint


def _wall(shot: Shot, width: int, height: int) -> UInt8:
    """What panels hang on: dark, soft scenery with a breath of colour, BGR."""
    small = (width // 4, height // 4)
    picture = backdrop(shot.backdrop, *small, 0.035).astype(np.float32)
    y, x = np.mgrid[0 : small[1], 0 : small[0]].astype(np.float32)
    slope = ((x / small[0] + y / small[1]) / 2)[..., None]
    accent = np.array(graphics.ACCENTS[shot.variant][::-1], np.float32)
    tinted = np.clip(picture * 0.42 + accent * (0.06 + 0.16 * slope), 0, 255)
    return np.asarray(cv2.resize(tinted, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _shadow(width: int, height: int, rects: list[tuple[int, int, int, int]], unit: float) -> UInt8:
    """Shadows of rectangles, 0 where there is none, uint8[height, width]; `unit` is the frame's height."""
    mask = np.zeros((height, width), np.uint8)
    drop = round(unit * 0.014)
    for x, y, w, h in rects:
        mask[y + drop : y + h + drop, x : x + w] = 153
    return soften(mask, unit * 0.022)


@dataclass(frozen=True)
class _Panel:
    """A window of the wall; `corners` are the pieces of wall that round it off, with their places."""

    rect: tuple[int, int, int, int]
    actor: Performer
    corners: tuple[tuple[Planes, int, int], ...]


def _rect(fractions: tuple[float, float, float, float], width: int, height: int) -> tuple[int, int, int, int]:
    x, y, w, h = (
        round(f * n / 2) * 2 for f, n in zip(fractions, (width, height, width, height), strict=True)
    )
    return x, y, w, h


def _corners(wall: UInt8, rect: tuple[int, int, int, int]) -> tuple[tuple[Planes, int, int], ...]:
    x, y, w, h = rect
    side = max(2, round(_CORNER * wall.shape[1] / 2) * 2)
    outside = 1 - rounded(w, h, side)
    places = ((0, 0), (w - side, 0), (0, h - side), (w - side, h - side))
    return tuple(
        (
            with_alpha(wall[y + b : y + b + side, x + a : x + a + side], outside[b : b + side, a : a + side]),
            x + a,
            y + b,
        )
        for a, b in places
    )


def _panels(shot: Shot, width: int, height: int) -> Painter:
    layouts = _PAIRS if len(shot.parts) == 2 else _TRIPLES
    rects = [_rect(f, width, height) for f in layouts[shot.variant % len(layouts)]]
    wall = _wall(shot, width, height)
    light = cv2.bitwise_not(_shadow(width, height, rects, height))
    wall = np.asarray(cv2.multiply(wall, cv2.merge([light] * 3), scale=1 / 255), np.uint8)
    behind = from_bgr(wall)
    panels = [
        _Panel(
            rect,
            Performer(part, "cell", (shot.backdrop + 1 + 3 * i) % len(cast.SCENERY)),
            _corners(wall, rect),
        )
        for i, (rect, part) in enumerate(zip(rects, shot.parts, strict=True))
    ]

    def paint(frame: Frame, index: int) -> None:
        put(frame, behind)
        for i, panel in enumerate(panels):
            pan, spot = _pan(shot, index, 2.0 * i), panel.actor.spot
            zoom = _zoom(shot, index if i % 2 == 0 else shot.length - 1 - index) * _fit(spot)
            x, y, w, h = panel.rect
            picture = panel.actor.planes(index)
            matrix = cover(picture.size, (w, h), (spot.x + pan[0], spot.y + pan[1]), zoom)
            _paste(frame, warp(picture, matrix, (w, h)), x, y)
            for corner, left, top in panel.corners:
                blend(frame, corner, left, top)

    return paint


def _paste(frame: Frame, picture: Planes, x: int, y: int) -> None:
    w, h = picture.size
    frame.y[y : y + h, x : x + w] = picture.y
    rows, columns = slice(y // 2, (y + h) // 2), slice(x // 2, (x + w) // 2)
    frame.u[rows, columns], frame.v[rows, columns] = picture.u, picture.v


def _turn(shot: Shot, width: int, height: int) -> Painter:
    """A panel that drifts and grows over the wall: a head turns to the side and back, or shows its back."""
    part = Part(shot.parts[0].person, (cast.BACK,)) if shot.style == "back" else shot.parts[0]
    actor = Performer(part, "head", (shot.backdrop + 1) % len(cast.SCENERY))
    behind = from_bgr(_wall(shot, width, height))
    w, h = actor.planes(0).size
    scale = height * 0.74 / h
    hang = _hanger(w, h, height / scale)
    side = 1 if shot.variant % 2 else -1

    def paint(frame: Frame, index: int) -> None:
        put(frame, behind)
        t = _progress(shot, index)
        size = scale * (1 + 0.1 * t)
        panel = hang(actor.planes(index))
        x = (width - panel.size[0] * size) / 2 + side * width * (0.1 - 0.16 * t)
        _stand(frame, panel, size, x, (height - panel.size[1] * size) / 2)

    return paint


def _hanger(w: int, h: int, unit: float) -> Callable[[Planes], Planes]:
    """Gives pictures of size w, h round corners and a shadow; the frame is `unit` of their pixels high."""
    margin = round(unit * 0.03) * 2
    size = (w + 2 * margin, h + 2 * margin)
    mask = np.zeros((size[1], size[0]), np.uint8)
    inside = (slice(margin, margin + h), slice(margin, margin + w))
    mask[inside] = np.rint(255 * rounded(w, h, _CORNER * 16 / 9 * unit))
    shadow = _times(_shadow(*size, [(margin, margin, w, h)], unit), cv2.bitwise_not(mask))
    masks, shadows = (
        (m, cv2.resize(m, (size[0] // 2, size[1] // 2), interpolation=cv2.INTER_AREA)) for m in (mask, shadow)
    )

    def hang(picture: Planes) -> Planes:
        planes: list[UInt8] = []
        for i, (plane, black) in enumerate(zip((picture.y, picture.u, picture.v), BLACK, strict=True)):
            part = min(i, 1)
            edge = margin >> part
            wide = cv2.copyMakeBorder(plane, edge, edge, edge, edge, cv2.BORDER_REPLICATE)
            planes.append(
                cv2.add(_times(wide, masks[part]), cv2.convertScaleAbs(shadows[part], alpha=black / 255))
            )
        return Planes(
            planes[0], planes[1], planes[2], *(cv2.add(*pair) for pair in zip(masks, shadows, strict=True))
        )

    return hang


def _times(plane: UInt8, mask: UInt8) -> UInt8:
    return np.asarray(cv2.multiply(plane, mask, scale=1 / 255), np.uint8)


def _scene(shot: Shot, width: int, height: int) -> Painter:
    """People stand in front of scenery, and may walk out of the frame and back."""
    picture = from_bgr(backdrop(shot.backdrop, width, height, 0.008))
    tall = round(height * 1.04)
    actors = [(part, standing(part.person, tall), cast.FACES[part.person]["portrait"]) for part in shot.parts]

    def paint(frame: Frame, index: int) -> None:
        pan = _pan(shot, index)
        matrix = cover(picture.size, (width, height), (0.5 + pan[0], 0.5 + pan[1]), _zoom(shot, index) + 0.02)
        put(frame, warp(picture, matrix, (width, height)))
        grow = 1 + 0.03 * _progress(shot, index)
        for i, (part, actor, spot) in enumerate(actors):
            step = abs(part.middle(index + 1) - part.middle(index))
            bob = height * (0.003 * math.sin(index / 19 + 2 * i) + min(step, 0.02) * math.sin(index * 0.9))
            left = part.middle(index) * width - spot.x * actor.size[0] * grow
            _stand(frame, actor, grow, left, height * 1.005 - actor.size[1] * grow + abs(bob))

    return paint


def _stand(frame: Frame, figure: Planes, scale: float, left: float, top: float) -> None:
    """Draw the part of a figure that is inside the frame."""
    spans = []
    for start, length, limit in zip((left, top), figure.size, frame.size, strict=True):
        low = max(0, math.floor(start / 2) * 2)
        spans.append((low, min(limit, math.ceil((start + length * scale) / 2) * 2) - low))
    (x, width), (y, height) = spans
    if width >= 2 and height >= 2:
        blend(frame, warp(figure, affine(scale, left - x, top - y), (width, height)), x, y)


def _finish(frame: Frame, shot: Shot, index: int, number: int) -> None:
    width, height = frame.size
    if shot.style not in ("title", "closing", "graphic"):
        shade(frame, graphics.vignette(width, height))
    _lighten(frame, shot.light, _progress(shot, index))
    _defocus(frame, shot, index)
    if shot.tag:
        fade = min(1.0, (index - 4) / 8, (62 - index) / 8, (shot.length - index) / 8)
        if fade > 0:
            person = shot.parts[0].person
            overlay = graphics.tag(width, height, cast.NAMES[person], list(cast.NAMES).index(person))
            blend(frame, overlay, round(width * 0.025) * 2, round(height * 0.42) * 2, fade)
    more, less = graphics.grain(width, height)[number % 6]
    np.copyto(frame.y, cv2.subtract(cv2.add(frame.y, more), less))


# For each light: gain of the luma from first to last frame, gamma, and how far u and v move.
_LIGHT: Final[dict[str, tuple[float, float, float, int, int]]] = {
    "warm": (1.0, 1.04, 1.0, -9, 8),
    "cool": (1.0, 0.96, 1.0, 9, -6),
    "dusk": (1.0, 0.55, 1.0, 3, 0),
    "dawn": (0.55, 1.0, 1.0, -4, 4),
    "hard": (1.05, 1.18, 1.15, 0, 0),
    "soft": (0.95, 1.0, 0.8, 0, 0),
}


def _lighten(frame: Frame, light: str, t: float) -> None:
    if light == "none":
        return
    first, last, gamma, du, dv = _LIGHT[light]
    levels = (np.arange(256) - 16).clip(0, 219) / 219
    curve = 16 + 219 * np.clip((first + (last - first) * t) * levels**gamma, 0, 1)
    np.copyto(frame.y, cv2.LUT(frame.y, np.rint(curve).astype(np.uint8)))
    for plane, shift in ((frame.u, du), (frame.v, dv)):
        amount = round(shift * (0.4 + 0.6 * t))
        if amount:
            table = np.clip(np.arange(256) + amount, 0, 255).astype(np.uint8)
            np.copyto(plane, cv2.LUT(plane, table))


def _defocus(frame: Frame, shot: Shot, index: int) -> None:
    """Blur at the start or the end of a shot, up to half a per cent of the frame's width."""
    if shot.focus == 0:
        return
    distance = index if shot.focus > 0 else shot.length - 1 - index
    sigma = 0.004 * frame.size[0] * max(0.0, 1 - distance / 16)
    if sigma > 0.3:
        np.copyto(frame.y, cv2.GaussianBlur(frame.y, (0, 0), sigma))
