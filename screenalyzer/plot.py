"""The timeline of an episode as a picture: one row a person, intervals in colour, faces at the left.

Everything is laid out in one coordinate system of points on a page (y grows downwards, 100 to the inch), so
that corners stay round and texts keep their distance whatever the episode's length. No display is needed, and
equal artifacts give equal bytes.
"""

import io
import warnings
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import FancyBboxPatch, Rectangle
from PIL import Image, ImageOps

from screenalyzer import storage
from screenalyzer.artifacts import EpisodePaths, read_table, write_bytes
from screenalyzer.errors import InputError
from screenalyzer.people import display_names
from screenalyzer.results import EpisodeFacts, clock, read_rules, read_timeline, read_totals
from screenalyzer.schemas import CLUSTERS
from screenalyzer.screentime import describe
from screenalyzer.settings import ScreenTimeRules
from screenalyzer.types import Interval, Span, Total, UInt8

Theme = Literal["light", "dark"]
Ending = Literal["png", "svg"]
MAX_ROWS: Final = 25

_ENDINGS: Final[dict[str, Ending]] = {"png": "png", "svg": "svg"}
_DPI: Final = 200
_WIDTH: Final = 1200.0
_MARGIN: Final = 40.0
_ROW: Final = 52.0
_BAR: Final = 22.0
_FACE: Final = 40.0
_NAME_X: Final = _MARGIN + _FACE + 14
_TIME_X: Final = (262.0, 1034.0)  # left and right end of the time axis
_TOTAL_X: Final = 1100.0  # right end of the totals; shares stand right of them
_TOP: Final = 140.0  # of the first row
_STRIP: Final = 7.0  # height of the strip of shot cuts, above the rows
_SPARSE_CUTS: Final = 150  # more than this would hatch the rows; then the strip alone shows them
_BOTTOM: Final = 58.0  # below the last row
_FACE_PIXELS: Final = 160
_MIN_BAR: Final = 1.2  # the shortest interval must stay visible in the longest episode
_TICK_STEPS_S: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
_FONTS: Final = ("DejaVu Sans", "Noto Sans CJK SC", "Noto Sans", "WenQuanYi Zen Hei", "Arial Unicode MS")


@dataclass(frozen=True)
class _Look:
    """Colours of a theme; `people` are from the palette of Okabe and Ito, safe for colour-blind readers."""

    page: str
    text: str
    muted: str
    band: str
    grid: str
    cut: str
    people: tuple[str, ...]


_LOOKS: Final[dict[str, _Look]] = {
    "light": _Look(
        page="#FFFFFF",
        text="#16202A",
        muted="#6B7783",
        band="#F0F3F5",
        grid="#DDE3E8",
        cut="#C3CCD4",
        people=("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"),
    ),
    "dark": _Look(
        page="#12181E",
        text="#EDF1F4",
        muted="#93A0AC",
        band="#1C252D",
        grid="#2A353F",
        cut="#43525F",
        people=("#56B4E9", "#E69F00", "#00B083", "#E08DBB", "#F0E442", "#F0702A"),
    ),
}


@dataclass(frozen=True)
class Contents:
    """What a picture of an episode shows.

    Attributes:
        facts: of the video.
        totals: of everybody, the longest screen time first.
        intervals: of everybody.
        rules: that these were made by.
        faces: file of a picture of each person, where there is one; it may have expired.
    """

    facts: EpisodeFacts
    totals: list[Total]
    intervals: list[Interval]
    rules: ScreenTimeRules
    faces: dict[str, Path]

    @classmethod
    def load(cls, paths: EpisodePaths) -> "Contents":
        """The results of an episode as its files have them.

        Raises:
            ArtifactError: the episode was not processed, or its artifacts are damaged.
        """
        clusters = read_table(paths.reviewed_clusters, CLUSTERS)
        names = display_names(clusters)
        crops: dict[str, tuple[int, str]] = {}  # of a person's clusters, the largest one lends the face
        for row in clusters.to_pylist():
            name, size = names[row["cluster_id"]], row["member_count"] or 0
            if row["rep_crop"] and size > crops.get(name, (-1, ""))[0]:
                crops[name] = (size, row["rep_crop"])
        faces = {name: paths.root / crop for name, (_, crop) in crops.items()}
        return cls(
            EpisodeFacts.load(paths), read_totals(paths), read_timeline(paths), read_rules(paths), faces
        )


@dataclass(frozen=True)
class _Row:
    """One person's row: positions are milliseconds from the first frame."""

    total: Total
    spans: tuple[Span, ...]
    face: UInt8 | None


class _Page:
    """A figure with one coordinate system, and the few shapes that the picture is made of."""

    def __init__(self, height: float, look: _Look) -> None:
        self.look = look
        self.figure = Figure(figsize=(_WIDTH / 100, height / 100), dpi=_DPI, facecolor=look.page)
        FigureCanvasAgg(self.figure)
        self.axes: Axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set_autoscale_on(False)
        self.axes.set(xlim=(0, _WIDTH), ylim=(height, 0))
        self.axes.axis("off")
        installed = {f.name for f in font_manager.fontManager.ttflist}
        self._families = [f for f in _FONTS if f in installed]

    def text(self, x: float, y: float, words: str, size: float = 12, **style: Any) -> None:
        """Words at a point; `size` is in the page's units, `width` shortens them to fit."""
        width = style.pop("width", None)
        font = FontProperties(family=self._families, size=size * 0.72, weight=style.pop("weight", "normal"))
        if width is not None:
            words = self._fit(words, font, width)
        style = {"color": self.look.text, "va": "center", **style}
        self.axes.text(x, y, words, fontproperties=font, parse_math=False, **style)

    def box(
        self, at: tuple[float, float, float, float], colour: str, radius: float = 4, layer: float = 1
    ) -> Any:
        """A filled box with round corners; `at` is x, y, width, height."""
        x, y, width, height = at
        radius = min(radius, width / 2, height / 2)
        patch = FancyBboxPatch(
            (x + radius, y + radius),
            width - 2 * radius,
            height - 2 * radius,
            boxstyle=f"round,pad={radius}",
            facecolor=colour,
            linewidth=0,
            zorder=layer,
        )
        return self.axes.add_patch(patch)

    def verticals(self, xs: list[float], y: tuple[float, float], colour: str, layer: float) -> None:
        """Thin upright lines."""
        lines = LineCollection(
            [[(x, y[0]), (x, y[1])] for x in xs], colors=colour, linewidths=0.65, zorder=layer
        )
        lines.set_capstyle("butt")
        self.axes.add_collection(lines, autolim=False)

    def picture(self, pixels: UInt8, x: float, y: float, side: float, radius: float) -> None:
        """A square picture with round corners."""
        frame = self.box((x, y, side, side), self.look.band, radius)
        image = self.axes.imshow(
            pixels, extent=(x, x + side, y + side, y), aspect="auto", interpolation="lanczos"
        )
        image.set_clip_path(frame)
        image.set_zorder(2)

    def _fit(self, words: str, font: FontProperties, width: float) -> str:
        """The words, or as many of their letters as fit, and an ellipsis."""
        renderer: Any = RendererAgg(1, 1, _DPI)  # type: ignore[no-untyped-call]  # measures only

        def wide(candidate: str) -> float:
            pixels: float = renderer.get_text_width_height_descent(candidate, font, ismath=False)[0]
            return pixels * 100 / _DPI

        if wide(words) <= width:
            return words
        keep = bisect_right(range(1, len(words)), width, key=lambda n: wide(words[:n].rstrip() + "…"))
        return words[: max(keep, 1)].rstrip() + "…"

    def save(self, ending: Ending) -> bytes:
        """The figure as a file, without a date."""
        metadata: dict[str, str | None] = (
            {"Date": None, "Creator": None} if ending == "svg" else {"Software": None}
        )
        out = io.BytesIO()
        with mpl.rc_context({"svg.hashsalt": "screenalyzer", "svg.fonttype": "path"}):
            self.figure.savefig(out, format=ending, metadata=metadata, facecolor=self.look.page)
        return out.getvalue()


def plot_timeline(paths: EpisodePaths, out: Path, theme: Theme = "light", max_rows: int = MAX_ROWS) -> Path:
    """Draw the timeline of a processed episode.

    Args:
        paths: the episode.
        out: file to write, .png (2400 pixels wide) or .svg.
        theme: light or dark page.
        max_rows: people with a row of their own, the longest screen time first; the rest is one line.

    Returns:
        The file.

    Raises:
        ArtifactError: the episode was not processed, or its artifacts are damaged.
        InputError: another suffix or theme.
    """
    ending = out.suffix.lower().lstrip(".")
    if ending not in _ENDINGS:
        raise InputError(f"{out.name} ends in neither .png nor .svg. Name the picture so.")
    if theme not in _LOOKS:
        raise InputError(f"{theme!r} is not a theme. Choose light or dark.")
    write_bytes(out, draw_timeline(Contents.load(paths), _ENDINGS[ending], theme, max_rows))
    return out


def draw_timeline(
    contents: Contents, ending: Ending, theme: Theme = "light", max_rows: int = MAX_ROWS
) -> bytes:  # fmt: skip
    """The same as bytes. Not for several threads at once."""
    with warnings.catch_warnings():
        # A name in a script that no installed font covers is drawn as boxes, not refused.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from", category=UserWarning)
        return _draw(contents, _LOOKS[theme], max_rows).save(ending)


def _draw(contents: Contents, look: _Look, max_rows: int) -> _Page:
    facts, totals = contents.facts, contents.totals
    shown, folded = _rows(contents, totals[:max_rows]), totals[max_rows:]
    bottom = _TOP + _ROW * max(len(shown), 1)
    page = _Page(bottom + (34 if folded else 0) + _BOTTOM, look)
    _draw_head(page, facts, totals)
    _draw_axis(page, facts, bottom)
    for n, row in enumerate(shown):
        _draw_row(page, facts, row, _TOP + n * _ROW, page.look.people[n % len(page.look.people)])
    if not shown:
        page.text(sum(_TIME_X) / 2, _TOP + _ROW / 2, "nobody was seen long enough to count", 13, ha="center")
    if folded:
        _draw_folded(page, folded, bottom)
    foot = bottom + (34 if folded else 0) + 30
    note = describe(contents.rules) + ("; hatched: could not be decoded" if facts.missing else "")
    page.text(_MARGIN, foot, note, 10, color=page.look.muted)
    return page


def _rows(contents: Contents, totals: list[Total]) -> list[_Row]:
    start_ms, spans = contents.facts.start_ms, dict[str, list[Span]]()
    for i in contents.intervals:
        spans.setdefault(i.person, []).append(Span(i.span.start_ms - start_ms, i.span.end_ms - start_ms))
    faces = {t.person: _face(contents.faces[t.person]) for t in totals if t.person in contents.faces}
    return [_Row(t, tuple(spans.get(t.person, ())), faces.get(t.person)) for t in totals]


def _face(path: Path) -> UInt8 | None:
    """The middle square of a crop, or None where it has expired or is damaged."""
    storage.need(path)
    try:
        with Image.open(path) as image:
            size = (_FACE_PIXELS, _FACE_PIXELS)
            return np.asarray(ImageOps.fit(image.convert("RGB"), size, Image.Resampling.LANCZOS))
    except OSError:
        return None


def _x(facts: EpisodeFacts, ms: float) -> float:
    """Where a position lies on the page."""
    left, right = _TIME_X
    return left + (right - left) * min(max(ms / max(facts.duration_ms, 1), 0.0), 1.0)


def _draw_head(page: _Page, facts: EpisodeFacts, totals: list[Total]) -> None:
    people, shots = len(totals), len(facts.shots)
    counts = (
        f"{people} {'person' if people == 1 else 'people'}  ·  {shots} {'shot' if shots == 1 else 'shots'}"
    )
    title = f"{facts.show}  ·  {facts.episode}"
    page.text(_MARGIN, 46, title, 24, weight="bold", width=_WIDTH - 2 * _MARGIN)
    summary = f"Screen time in {clock(facts.duration_ms)}  ·  {counts}"
    page.text(_MARGIN, 76, summary, 13, color=page.look.muted)


def _draw_axis(page: _Page, facts: EpisodeFacts, bottom: float) -> None:
    look, label_y = page.look, _TOP - 29
    step = _tick_step(facts.duration_ms)
    ticks = range(0, facts.duration_ms + 1, step)
    page.verticals([_x(facts, t) for t in ticks], (_TOP - 16, bottom), look.grid, 0.5)
    page.verticals(_cuts(facts), (_TOP - 8 - _STRIP, _TOP - 8), look.muted, 1.5)
    page.text(_NAME_X, _TOP - 8 - _STRIP / 2, "shot cuts", 10, color=look.muted)
    hours = facts.duration_ms >= 3_600_000
    for tick in ticks:
        page.text(_x(facts, tick), label_y, clock(tick, hours=hours), 11, color=look.muted, ha="center")
    page.text(_TOTAL_X, label_y, "total", 11, color=look.muted, ha="right")
    page.text(_WIDTH - _MARGIN, label_y, "share", 11, color=look.muted, ha="right")
    for span in facts.missing:
        left, right = (_x(facts, ms - facts.start_ms) for ms in span)
        patch = Rectangle((left, _TOP), max(right - left, 1), bottom - _TOP, facecolor="none", linewidth=0)
        patch.set(hatch="////", edgecolor=look.cut, zorder=1.5)
        page.axes.add_patch(patch)


def _cuts(facts: EpisodeFacts) -> list[float]:
    """Where the shots after the first one begin, on the page."""
    return [_x(facts, s.start_ms - facts.start_ms) for s in facts.shots[1:]]


def _tick_step(duration_ms: int) -> int:
    """Milliseconds between two labels: a round figure that gives at most 10 of them."""
    steps = (s * 1000 for s in _TICK_STEPS_S)
    return next((s for s in steps if duration_ms / s <= 10), -(-duration_ms // 10))


def _draw_row(page: _Page, facts: EpisodeFacts, row: _Row, top: float, colour: str) -> None:
    look, total, middle = page.look, row.total, top + _ROW / 2
    face_y = middle - _FACE / 2
    if row.face is None:
        page.box((_MARGIN, face_y, _FACE, _FACE), colour, 10)
        page.text(
            _MARGIN + _FACE / 2,
            middle,
            _initials(total.person),
            14,
            weight="bold",
            ha="center",
            color=look.page,
        )
    else:
        page.picture(row.face, _MARGIN, face_y, _FACE, 10)
    times = f"{total.appearances} appearance{'' if total.appearances == 1 else 's'}"
    page.text(_NAME_X, middle - 8, total.person, 14, weight="bold", width=_TIME_X[0] - _NAME_X - 14)
    page.text(_NAME_X, middle + 10, times, 11, color=look.muted)
    y = middle - _BAR / 2
    page.box((_TIME_X[0], y, _TIME_X[1] - _TIME_X[0], _BAR), look.band, 5)
    if len(cuts := _cuts(facts)) <= _SPARSE_CUTS:
        page.verticals(cuts, (y, y + _BAR), look.cut, 1.2)
    for span in row.spans:
        left, right = (_x(facts, ms) for ms in span)
        width = max(right - left, _MIN_BAR)
        page.box((min(left, _TIME_X[1] - width), y, width, _BAR), colour, 4, layer=2)
    page.text(_TOTAL_X, middle, clock(total.total_ms), 15, weight="bold", ha="right")
    page.text(_WIDTH - _MARGIN, middle, f"{total.percent:.1f} %", 12, color=look.muted, ha="right")


def _initials(person: str) -> str:
    """Two letters for a person without a face; the number of someone who has only that."""
    words = person.split() or ["?"]
    return (
        words[-1][:3] if words[-1].isdigit() else "".join(w[0] for w in (words[0], *words[1:][-1:])).upper()
    )


def _draw_folded(page: _Page, folded: list[Total], top: float) -> None:
    together = clock(sum(t.total_ms for t in folded))
    words = f"and {len(folded)} more, {together} together"
    page.text(_NAME_X, top + 18, words, 12, color=page.look.muted)
