"""The people of the demo, and their pictures: ten synthetic people of the package openpeople.

Each has a sheet of 4 x 4 expressions, a sheet with four head angles, and photos. The cells of a sheet are
found by its white frames, which lie on a grid but not at the same place for every person. The people
stand before plain grey, so they can be cut out and put into other surroundings.
"""

import importlib.metadata
import importlib.util
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from screenalyzer.errors import DemoAssetsError
from screenalyzer.types import Bool, Float32, UInt8

# P006 and P010 are near doubles of P004: a hard test of telling people apart, and no cast for a demo.
CAST: Final = ("P001", "P002", "P003", "P004", "P005", "P007", "P008", "P009")
HARD_CAST: Final = ("P004", "P006", "P010")
NAMES: Final = {
    "P001": "Amara", "P002": "Bruna", "P003": "Clara", "P004": "Dalia", "P005": "Elias",
    "P006": "Farah", "P007": "Gabriel", "P008": "Henrik", "P009": "Imani", "P010": "Jasmin",
}  # fmt: skip

EXPRESSIONS: Final = 16
FRONT, LEFT, BACK, RIGHT = range(4)


@dataclass(frozen=True)
class Spot:
    """Where a face is in a picture: its middle and its height, as fractions of the picture."""

    x: float
    y: float
    height: float


# Measured with MTCNN; a test holds them against the detector. Thousandths of the picture: middle x, y and
# height of the face in: cell (median over the expressions), front, selfie, posture, portrait.
_MEASURED: Final = {
    "P001": ((496, 498, 626), (497, 483, 530), (496, 333, 266), (485, 152, 114), (496, 472, 536)),
    "P002": ((490, 508, 784), (503, 466, 485), (508, 379, 289), (504, 176, 113), (495, 437, 493)),
    "P003": ((493, 492, 716), (496, 438, 539), (570, 337, 285), (501, 155, 94), (491, 377, 441)),
    "P004": ((502, 466, 807), (520, 411, 603), (389, 339, 269), (492, 275, 86), (510, 403, 642)),
    "P005": ((494, 454, 616), (500, 371, 468), (518, 449, 465), (460, 118, 121), (499, 340, 467)),
    "P006": ((497, 506, 904), (498, 430, 508), (498, 344, 331), (504, 137, 115), (501, 389, 528)),
    "P007": ((502, 440, 937), (505, 458, 485), (548, 288, 266), (448, 211, 90), (501, 437, 487)),
    "P008": ((494, 494, 722), (509, 474, 570), (471, 328, 278), (474, 118, 120), (496, 438, 563)),
    "P009": ((500, 436, 678), (515, 421, 611), (506, 345, 356), (483, 120, 121), (508, 420, 608)),
    "P010": ((506, 481, 845), (506, 445, 589), (504, 385, 358), (496, 175, 105), (500, 424, 584)),
}  # fmt: skip
_SPOT_KINDS: Final = ("cell", "front", "selfie", "posture", "portrait")
FACES: Final = {
    person: {k: Spot(x / 1000, y / 1000, h / 1000) for k, (x, y, h) in zip(_SPOT_KINDS, rows, strict=True)}
    for person, rows in _MEASURED.items()
}

# Parts of the photos without a person: photo, left, top and width in pixels; the height makes it 16:9.
SCENERY: Final = (
    ("P002", "amateur_posture", 0, 470, 540),
    ("P003", "amateur_posture", 0, 560, 540),
    ("P004", "amateur_posture", 0, 0, 880),
    ("P004", "amateur_posture", 0, 1000, 520),
    ("P007", "amateur_posture", 1090, 200, 600),
    ("P009", "amateur_posture", 0, 1050, 500),
    ("P001", "amateur_selfie", 0, 430, 510),
    ("P008", "amateur_selfie", 1230, 230, 460),
    ("P001", "amateur_posture", 0, 90, 600),
    ("P005", "amateur_posture", 1130, 80, 560),
    ("P007", "amateur_posture", 0, 0, 590),
    ("P009", "amateur_selfie", 1310, 300, 380),
    ("P004", "amateur_selfie", 900, 0, 790),
)
SHARP_SCENERY: Final = 8  # the first of them are sharp enough to be shown as they are

_FRAME_MARGIN = 9  # pixels of white frame and its soft edge, above and below
_PHOTO_HEIGHT = 1400  # photos are kept at this height: enough for 720 lines


def package_version() -> str:
    """Version of the installed openpeople.

    Raises:
        DemoAssetsError: it is not installed.
    """
    try:
        return importlib.metadata.version("openpeople")
    except importlib.metadata.PackageNotFoundError as e:
        raise DemoAssetsError(
            "The demo season is drawn from the package openpeople, which is not installed. "
            "Install it: pip install 'screenalyzer[demo]'"
        ) from e


@lru_cache(maxsize=1)
def _assets() -> Path:
    package_version()
    spec = importlib.util.find_spec("openpeople")
    if spec is None or spec.origin is None:
        raise DemoAssetsError(
            "openpeople is damaged. Install it again: pip install --force-reinstall openpeople"
        )
    return Path(spec.origin).parent / "data" / "curated"


def _load(person: str, name: str) -> UInt8:
    path = _assets() / person / "assets" / f"{name}.jpg"
    image = cv2.imread(str(path))
    if image is None:
        raise DemoAssetsError(f"openpeople lacks {path.name} of {person}. Install openpeople>=0.1.2 again.")
    return np.asarray(image, np.uint8)


def _runs(mask: Bool) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([0], mask.astype(np.int8), [0]))))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def find_cells(sheet: UInt8) -> list[list[tuple[int, int, int, int]]]:
    """Insides of the white frames of a sheet: for each column, x0, x1, y0, y1 from top to bottom.

    The upright sides of a column's frames make the only columns of pixels that are mostly white; where
    a row of frames begins and ends is read along those sides, because shirts are white too.
    """
    white = sheet.min(axis=2) > 205
    sides = _runs(white.mean(axis=0) > 0.6)
    columns = []
    for left, right in zip(sides[::2], sides[1::2], strict=True):
        both = white[:, left[0] : left[1]].any(axis=1) & white[:, right[0] : right[1]].any(axis=1)
        rows = [(top, bottom) for top, bottom in _runs(both) if bottom - top > 200]
        columns.append([(left[1] + 2, right[0] - 2, t + _FRAME_MARGIN, b - _FRAME_MARGIN) for t, b in rows])
    return columns


@lru_cache(maxsize=24)
def _sheet_cells(person: str, name: str) -> list[UInt8]:
    """Cells of a sheet in reading order, all of one even size."""
    sheet = _load(person, name)
    columns = find_cells(sheet)
    cells = [
        sheet[c[row][2] : c[row][3], c[row][0] : c[row][1]] for row in range(len(columns[0])) for c in columns
    ]
    if name == "character_sheet":
        cells = cells[:4]  # the second row is whole bodies
    width, height = (max(c.shape[axis] for c in cells) // 2 * 2 for axis in (1, 0))
    return [np.asarray(cv2.resize(c, (width, height), interpolation=cv2.INTER_AREA), np.uint8) for c in cells]


def expression(person: str, index: int) -> UInt8:
    """One of the 16 expressions, BGR."""
    return _sheet_cells(person, "emotions_sheet")[index]


def head(person: str, view: int) -> UInt8:
    """A head from FRONT, LEFT, BACK or RIGHT, BGR."""
    return _sheet_cells(person, "character_sheet")[view]


@lru_cache(maxsize=32)
def photo(person: str, name: str) -> UInt8:
    """A photo, BGR, 1400 pixels high: amateur_selfie, amateur_posture, studio_portrait or studio_posture."""
    image = _load(person, name)
    scale = _PHOTO_HEIGHT / image.shape[0]
    size = (round(image.shape[1] * scale) // 2 * 2, _PHOTO_HEIGHT)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


@lru_cache(maxsize=16)
def scenery(index: int) -> UInt8:
    """A piece of surroundings without people, BGR, 16:9, 960 x 540."""
    person, name, x, y, width = SCENERY[index]
    crop = _load(person, name)[y : y + round(width * 9 / 16), x : x + width]
    return np.asarray(cv2.resize(crop, (960, 540), interpolation=cv2.INTER_CUBIC), np.uint8)


def cut_out(picture: UInt8) -> tuple[UInt8, Float32]:
    """Separate a person from the plain grey behind.

    The grey is modelled as a quadratic surface in Lab, fitted to what looks like it at the left and right;
    what differs from it is person. Only grey that reaches the picture's upper or side edges is background.

    Args:
        picture: uint8[h, w, 3], BGR.

    Returns:
        The person's colours without the grey that shines through at the edges, uint8[h, w, 3]; and the
        opacity, float32[h, w], 0..1.
    """
    lab = cv2.cvtColor(picture, cv2.COLOR_BGR2LAB).astype(np.float32)
    grey, distance = _grey_behind(lab)
    ramp = np.clip((distance - 5) / 17, 0, 1)
    alpha = ramp * ramp * (3 - 2 * ramp)
    count, labels = cv2.connectedComponents((alpha < 0.5).astype(np.uint8), connectivity=4)
    sides = int(len(picture) * 0.8)
    outside = np.zeros(count, bool)
    outside[np.concatenate((labels[0], labels[:sides, 0], labels[:sides, -1]))] = True
    outside[0] = False
    person = (~outside[labels]).astype(np.uint8)
    kernel = np.ones((5, 5), np.uint8)
    alpha = np.maximum(alpha, cv2.erode(person, kernel)) * cv2.dilate(person, kernel)
    alpha = cv2.GaussianBlur(alpha.astype(np.float32), (0, 0), 0.8)
    behind = cv2.cvtColor(np.clip(grey, 0, 255).astype(np.uint8), cv2.COLOR_LAB2BGR)
    opacity = alpha[..., None]
    colour = (picture - (1 - opacity) * behind) / np.maximum(opacity, 0.02)
    return np.clip(colour, 0, 255).astype(np.uint8), np.asarray(alpha, np.float32)


def _grey_behind(lab: Float32) -> tuple[Float32, Float32]:
    """The grey backdrop as it would be without the person, and how far each pixel is from it."""
    thin = lab[::3, ::3].reshape(-1, 3)
    terms, x = _quadratic(*lab.shape[:2])
    few, aside = terms[::3, ::3].reshape(-1, 6), np.abs(x[::3, ::3].reshape(-1)) > 0.15
    lightness, chroma = thin[:, 0], np.hypot(thin[:, 1] - 128, thin[:, 2] - 128)
    grey = (chroma < 9) & (lightness > 70) & (lightness < 190)
    surface = np.zeros((6, 3), np.float32)
    for _ in range(4):
        use = grey & aside
        surface = np.linalg.lstsq(few[use], thin[use], rcond=None)[0]
        grey = _distance(thin, few @ surface) < 6
    fit = np.asarray(terms @ surface, np.float32)
    return fit, _distance(lab, fit)


def _quadratic(height: int, width: int) -> tuple[Float32, Float32]:
    """Terms of a quadratic surface, float32[height, width, 6], and x of each pixel, -0.5..0.5."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = x / width - 0.5, y / height - 0.5
    return np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=-1), x


def _distance(lab: Float32, other: Float32) -> Float32:
    """Distance of colours in Lab that weighs hue above lightness."""
    d = lab - other
    return np.asarray(np.sqrt(0.6 * d[..., 0] ** 2 + 1.6 * (d[..., 1] ** 2 + d[..., 2] ** 2)), np.float32)


def portraits(person_id: str) -> list[UInt8]:
    """Every picture of a person with exactly one visible face, RGB: 16 expressions, front view, four photos.

    Whole-body photos are cut to their upper part.

    Raises:
        DemoAssetsError: openpeople is not installed, or has no such person.
    """
    if person_id not in FACES:
        raise DemoAssetsError(f"There is no person {person_id!r}; there are {', '.join(FACES)}.")
    pictures = [expression(person_id, i) for i in range(EXPRESSIONS)]
    pictures += [
        head(person_id, FRONT),
        photo(person_id, "studio_portrait"),
        photo(person_id, "amateur_selfie"),
    ]
    for name in ("amateur_posture", "studio_posture"):
        whole = photo(person_id, name)
        pictures.append(whole[: whole.shape[0] * 45 // 100])
    return [np.ascontiguousarray(p[..., ::-1]) for p in pictures]
