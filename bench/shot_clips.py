"""Generated clips with known cuts, to tune the shot detector: shots that move, flash, dim and shake."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
WIDTH, HEIGHT = 320, 180


def portraits() -> list[Picture]:
    """Faces of the synthetic cast where it is installed, else drawn stand-ins."""
    spec = find_spec("openpeople")
    if spec is None or spec.origin is None:
        return [_texture(np.random.default_rng(900 + i), 200, 160) for i in range(8)]
    folder = Path(spec.origin).parent / "data" / "curated"
    files = sorted(folder.glob("P*/assets/*_portrait.jpg")) + sorted(folder.glob("P*/assets/*_selfie.jpg"))
    return [
        np.asarray(cv2.resize(cv2.imread(str(f)), (160, 200)), np.uint8)[:, :, ::-1].copy() for f in files
    ]


def _texture(rng: np.random.Generator, height: int, width: int, grain: int = 12) -> Picture:
    """A smooth random background with some detail."""
    base = rng.integers(20, 230, (grain, grain, 3), dtype=np.uint8)
    fine = rng.integers(-25, 25, (grain * 4, grain * 4, 3)).astype(np.float32)
    big = cv2.resize(base, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    return np.clip(big + cv2.resize(fine, (width, height)), 0, 255).astype(np.uint8)


class Scene:
    """One shot: a background and people in panels, with a camera and a light that move."""

    def __init__(
        self, rng: np.random.Generator, cast: list[Picture], background: Picture | None = None
    ) -> None:
        self.rng = rng
        self.wide = background if background is not None else _texture(rng, HEIGHT * 2, WIDTH * 3)
        self.people = [cast[i] for i in rng.choice(len(cast), int(rng.integers(0, 4)), replace=False)]
        self.place = [(rng.uniform(0.05, 0.7), rng.uniform(0.05, 0.4)) for _ in self.people]
        self.size = [rng.uniform(0.4, 0.9) for _ in self.people]
        self.drift = [(rng.normal(0, 1.0), rng.normal(0, 0.5), rng.normal(0, 0.002)) for _ in self.people]
        self.pan = float(rng.choice([0, 0, 0, 1, 3, 8])) * float(rng.choice([-1, 1]))
        self.shake = float(rng.choice([0, 0, 1.5]))
        self.noise = float(rng.choice([0, 2, 6]))
        self.gain = float(rng.choice([1, 1, 0.5, 0.3]))
        self.event = str(rng.choice(["", "", "flash", "lamp", "ramp", "wave"]))

    def answer(self, before: "Scene", cast: list[Picture]) -> None:
        """The same set and light, someone else in it: the hardest cut."""
        self.gain, self.noise, self.pan, self.event = before.gain, before.noise, 0, ""
        if not self.people or (len(before.people) == 1 and self.rng.random() < 0.5):
            others = [p for p in cast if not any(p is q for q in before.people)]
            self.people = [others[int(self.rng.integers(len(others)))]]
            self.place, self.size, self.drift = [(0.3, 0.15)], [self.rng.uniform(0.3, 0.7)], [(0.0, 0.0, 0.0)]
            if before.people:
                self.place, self.size = before.place[:1], before.size[:1]

    def frames(self, count: int) -> Iterator[Picture]:
        """Its pictures."""
        at = int(self.rng.integers(3, max(4, count - 4)))
        for n in range(count):
            x = WIDTH + self.pan * (n - count / 2) + self.rng.normal(0, self.shake)
            y = HEIGHT / 2 + self.rng.normal(0, self.shake)
            left = int(np.clip(x, 0, self.wide.shape[1] - WIDTH))
            top = int(np.clip(y, 0, self.wide.shape[0] - HEIGHT))
            view = self.wide[top : top + HEIGHT, left : left + WIDTH].copy()
            for person, where, size, drift in zip(
                self.people, self.place, self.size, self.drift, strict=True
            ):
                _paste(view, person, where, size, drift, n)
            yield self._light(view, n, at)

    def _light(self, view: Picture, n: int, at: int) -> Picture:
        out = view.astype(np.float32) * self.gain
        if self.event == "flash" and at <= n < at + 2:
            out = out * 1.5 + 90
        if self.event == "lamp" and n >= at:
            out = out * 1.35
        if self.event == "ramp" and n >= at:
            out = out * max(0.4, 1 - 0.06 * (n - at))
        if self.event == "wave" and at <= n < at + 8:  # something big passes close to the camera
            edge = (n - at) * WIDTH // 5 - WIDTH // 2
            out[:, max(0, edge) : max(0, edge + WIDTH // 2)] = (90, 60, 40)
        if self.noise:
            out += self.rng.normal(0, self.noise, out.shape)
        return np.clip(out, 0, 255).astype(np.uint8)


def _paste(
    view: Picture,
    person: Picture,
    where: tuple[float, float],
    size: float,
    drift: tuple[float, float, float],
    n: int,
) -> None:
    height = int(np.clip(HEIGHT * (size + drift[2] * n), 20, HEIGHT * 1.2))
    small = cv2.resize(person, (int(height * 0.8), height), interpolation=cv2.INTER_AREA)
    x, y = int(where[0] * WIDTH + drift[0] * n), int(where[1] * HEIGHT + drift[1] * n)
    x0, y0, x1, y1 = max(0, x), max(0, y), min(WIDTH, x + small.shape[1]), min(HEIGHT, y + small.shape[0])
    if x1 > x0 and y1 > y0:
        view[y0:y1, x0:x1] = small[y0 - y : y1 - y, x0 - x : x1 - x]


def clip(seed: int, shots: int = 24) -> tuple[list[Picture], list[int]]:
    """A clip and its hard cuts, as indices of the first frame of each shot but the first.

    Some shots share their background with the shot before, some are blips of 5 to 9 frames, some go dark.
    """
    rng = np.random.default_rng(seed)
    cast = portraits()
    pictures: list[Picture] = []
    cuts: list[int] = []
    before: Scene | None = None
    for n in range(shots):
        scene = Scene(rng, cast, before.wide if before and rng.random() < 0.25 else None)
        if before is not None and scene.wide is before.wide:
            scene.answer(before, cast)
        before = scene
        if n:
            cuts.append(len(pictures))
        pictures += scene.frames(int(rng.integers(5, 10) if rng.random() < 0.15 else rng.integers(15, 60)))
    return pictures, cuts
