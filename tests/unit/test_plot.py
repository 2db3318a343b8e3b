"""Pictures are read back as pixels; positions are measured against someone who is on screen all the time."""

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from screenalyzer.artifacts import EpisodePaths, write_json, write_table
from screenalyzer.errors import ArtifactError, InputError
from screenalyzer.plot import plot_timeline
from screenalyzer.results import write_timeline, write_totals
from screenalyzer.schemas import CLUSTERS
from screenalyzer.screentime import timeline, totals
from screenalyzer.settings import ScreenTimeRules
from screenalyzer.types import Presence, Span, UInt8

START, DURATION = 5000, 100_000
BLUE, ORANGE, GREEN = (0x00, 0x72, 0xB2), (0xE6, 0x9F, 0x00), (0x00, 0x9E, 0x73)
RED = (200, 30, 30)
RULES = ScreenTimeRules()


def _episode(
    root: Path,
    people: dict[str | None, tuple[int, int]],
    crops: dict[int, tuple[int, int, int]] | None = None,
    missing: tuple[int, int] | None = None,
) -> EpisodePaths:
    """An episode with one interval a person, in seconds from the first frame; crops by row, of one colour."""
    paths = EpisodePaths(root, "Show", "ep01")
    gone = [{"start_ms": START + missing[0], "end_ms": START + missing[1], "reason": "x"}] if missing else []
    write_json(
        paths.manifest_json,
        {
            "source": {"sha256": "0" * 64, "path": "ep01.mp4", "size_bytes": 5},
            "show": "Show",
            "episode": "ep01",
            "fps": 25.0,
            "duration_ms": DURATION,
            "start_ms": START,
            "width": 1280,
            "height": 720,
            "shots": [{"scene_id": 0, "start_ms": START, "end_ms": START + DURATION}],
            "missing": gone,
        },
    )
    rep = []
    for row in range(len(people)):
        crop = paths.crops / f"{row}.png"
        if crops and row in crops:
            crop.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (90, 120), crops[row]).save(crop)
        rep.append(paths.relative(crop))
    n = len(people)
    rows = zip([f"c{i}" for i in range(n)], people, rep, strict=True)
    clusters = [
        {"cluster_id": i, "name": name, "member_count": 2, "rep_crop": crop} for i, name, crop in rows
    ]
    write_table(paths.reviewed_clusters, pa.Table.from_pylist(clusters, CLUSTERS), CLUSTERS)
    seen = [
        Presence(name or "Person 01", Span(START + a * 1000, START + b * 1000), 0.9)
        for name, (a, b) in people.items()
    ]
    intervals = timeline(seen, RULES)
    write_timeline(paths, intervals)
    write_totals(paths, totals(intervals, DURATION), RULES)
    return paths


def _pixels(picture: Path) -> UInt8:
    with Image.open(picture) as image:
        return np.asarray(image.convert("RGB"))


def _columns(pixels: UInt8, colour: tuple[int, int, int], right_of: int = 0) -> tuple[int, int]:
    """First and last column that hold the colour."""
    there = np.flatnonzero((pixels == np.array(colour, np.uint8)).all(axis=2).any(axis=0))
    there = there[there >= right_of]
    return int(there[0]), int(there[-1])


def _count(pixels: UInt8, colour: tuple[int, int, int]) -> int:
    return int((pixels == np.array(colour, np.uint8)).all(axis=2).sum())


TRIO = {"Ada": (0, 100), "Ben": (25, 50), "Cy": (90, 100)}


def test_bars_lie_where_the_people_are(tmp_path: Path) -> None:
    paths = _episode(tmp_path, TRIO, crops={0: RED, 1: RED, 2: RED})
    pixels = _pixels(plot_timeline(paths, tmp_path / "p.png"))
    assert pixels.shape[1] == 2400
    left, right = _columns(pixels, BLUE)  # Ada: the whole episode
    width = right - left
    first, last = _columns(pixels, ORANGE)
    assert (first - left) / width == pytest.approx(0.25, abs=0.002)
    assert (last - left) / width == pytest.approx(0.50, abs=0.002)
    first, last = _columns(pixels, GREEN)
    assert (first - left) / width == pytest.approx(0.90, abs=0.002)
    assert last == pytest.approx(right, abs=1)


def test_rows_are_sorted_by_screen_time(tmp_path: Path) -> None:
    paths = _episode(
        tmp_path, {"Cy": (90, 100), "Ben": (25, 50), "Ada": (0, 100)}, crops=dict.fromkeys(range(3), RED)
    )
    pixels = _pixels(plot_timeline(paths, tmp_path / "p.png"))
    tops = [
        np.flatnonzero((pixels == np.array(c, np.uint8)).all(axis=2).any(axis=1))[0]
        for c in (BLUE, ORANGE, GREEN)
    ]
    assert tops == sorted(tops)
    widths = [np.subtract(*_columns(pixels, c)[::-1]) for c in (BLUE, ORANGE, GREEN)]
    assert widths == sorted(widths, reverse=True)


def test_each_row_shows_its_own_face(tmp_path: Path) -> None:
    faces = {0: (200, 30, 30), 1: (30, 200, 30), 2: (30, 30, 200)}
    pixels = _pixels(plot_timeline(_episode(tmp_path, TRIO, faces), tmp_path / "p.png"))
    for face, bar in zip(faces.values(), (BLUE, ORANGE, GREEN), strict=True):
        _, right = _columns(pixels, face)
        assert right < _columns(pixels, bar)[0]
        rows = np.flatnonzero((pixels == np.array(face, np.uint8)).all(axis=2).any(axis=1))
        bar_rows = np.flatnonzero((pixels == np.array(bar, np.uint8)).all(axis=2).any(axis=1))
        assert rows.mean() == pytest.approx(bar_rows.mean(), abs=2)


def test_a_face_that_expired_gives_way_to_initials(tmp_path: Path) -> None:
    with_face = _pixels(plot_timeline(_episode(tmp_path / "a", TRIO, {0: RED}), tmp_path / "a.png"))
    without = _pixels(plot_timeline(_episode(tmp_path / "b", TRIO), tmp_path / "b.png"))
    assert _count(with_face, RED) > 4000
    assert _count(without, RED) == 0
    assert _columns(without, BLUE)[0] < _columns(with_face, BLUE)[0]  # the tile bears the row's colour


def test_a_damaged_crop_is_no_obstacle(tmp_path: Path) -> None:
    paths = _episode(tmp_path, TRIO, {0: RED})
    (paths.crops / "0.png").write_bytes(b"not a picture")
    assert _count(_pixels(plot_timeline(paths, tmp_path / "p.png")), RED) == 0


def test_the_unnamed_find_their_face_by_their_shown_name(tmp_path: Path) -> None:
    paths = _episode(tmp_path, {None: (0, 50), "Ada": (60, 80)}, {0: RED})
    assert _count(_pixels(plot_timeline(paths, tmp_path / "p.png")), RED) > 4000


def test_more_people_than_rows_are_folded(tmp_path: Path) -> None:
    def height(people: int, max_rows: int) -> int:
        paths = _episode(tmp_path / str(people), {f"P{i:02d}": (i, i + 20) for i in range(people)})
        return int(_pixels(plot_timeline(paths, tmp_path / "p.png", max_rows=max_rows)).shape[0])

    row = height(4, 9) - height(3, 9)
    line = height(4, 3) - height(3, 3)
    assert 0 < line < row
    assert height(9, 3) == height(4, 3)
    assert height(9, 8) == height(8, 8) + line


def test_a_long_cast_fits_on_the_page(tmp_path: Path) -> None:
    paths = _episode(tmp_path, {f"P{i:02d}": (i, i + 20) for i in range(40)})
    pixels = _pixels(plot_timeline(paths, tmp_path / "p.png"))
    rows = (pixels == np.array(BLUE, np.uint8)).all(axis=2).any(axis=1)
    assert np.count_nonzero(np.diff(rows.astype(np.int8)) == 1) == 5  # of 25 rows every sixth is blue


def test_missing_seconds_are_hatched(tmp_path: Path) -> None:
    whole = _pixels(plot_timeline(_episode(tmp_path / "a", {"Ada": (0, 20)}), tmp_path / "a.png"))
    holed = _pixels(
        plot_timeline(
            _episode(tmp_path / "b", {"Ada": (0, 20)}, missing=(50_000, 70_000)), tmp_path / "b.png"
        )
    )
    height = whole.shape[0]
    changed = (
        (whole[: height - 120] != holed[: height - 120]).any(axis=2).any(axis=0)
    )  # the footnote changes too
    columns = np.flatnonzero(changed)
    left, right = _columns(whole, BLUE, right_of=400)
    second = (right - left) / 20
    assert (columns[0] - left) / second == pytest.approx(50, abs=0.5)
    assert (columns[-1] - left) / second == pytest.approx(70, abs=0.5)


@pytest.mark.parametrize(("theme", "page"), [("light", (255, 255, 255)), ("dark", (0x12, 0x18, 0x1E))])
def test_themes(tmp_path: Path, theme: str, page: tuple[int, int, int]) -> None:
    picture = plot_timeline(_episode(tmp_path, TRIO), tmp_path / "p.png", theme)  # type: ignore[arg-type]
    pixels = _pixels(picture)
    assert tuple(pixels[0, 0]) == page
    assert _count(pixels, page) > pixels.shape[0] * pixels.shape[1] / 2


def test_svg_is_a_picture_with_the_faces_inside(tmp_path: Path) -> None:
    picture = plot_timeline(_episode(tmp_path, TRIO, {0: RED, 2: RED}), tmp_path / "p.svg")
    root = ET.parse(picture).getroot()
    assert root.tag.endswith("svg")
    images = [e for e in root.iter() if e.tag.endswith("}image")]
    assert len(images) == 2
    text = picture.read_text()
    assert "#0072b2" in text
    assert "<dc:date>" not in text


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_equal_artifacts_give_equal_bytes(tmp_path: Path, suffix: str) -> None:
    paths = _episode(tmp_path, TRIO, {0: RED})
    one, two = (plot_timeline(paths, tmp_path / f"{n}.{suffix}").read_bytes() for n in "ab")
    assert one == two


def test_names_are_text_and_nothing_else(tmp_path: Path) -> None:
    odd = {
        "$\\frac{1}{2}$": (0, 30),
        "名前": (30, 60),
        "x" * 300: (60, 80),
        "<b>&": (80, 90),
        "_^$": (90, 99),
    }
    assert plot_timeline(_episode(tmp_path, dict(odd)), tmp_path / "p.png").stat().st_size > 10_000
    ET.parse(plot_timeline(_episode(tmp_path, dict(odd)), tmp_path / "p.svg"))


def test_an_episode_without_people(tmp_path: Path) -> None:
    pixels = _pixels(plot_timeline(_episode(tmp_path, {}), tmp_path / "p.png"))
    assert _count(pixels, BLUE) == 0
    assert pixels.std() > 0


def test_refusals(tmp_path: Path) -> None:
    paths = _episode(tmp_path, TRIO)
    with pytest.raises(InputError, match=r"neither \.png nor \.svg"):
        plot_timeline(paths, tmp_path / "p.gif")
    with pytest.raises(InputError, match="'pink'"):
        plot_timeline(paths, tmp_path / "p.png", "pink")  # type: ignore[arg-type]
    with pytest.raises(ArtifactError, match="Process the episode first"):
        plot_timeline(EpisodePaths(tmp_path, "s", "none"), tmp_path / "p.png")
