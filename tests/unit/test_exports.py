import csv
import json
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest
from openpyxl import load_workbook

from screenalyzer import __version__
from screenalyzer.artifacts import EpisodePaths, write_json
from screenalyzer.errors import ArtifactError, InputError
from screenalyzer.exports import export, neutralise
from screenalyzer.results import write_timeline, write_totals
from screenalyzer.screentime import totals
from screenalyzer.settings import ScreenTimeRules
from screenalyzer.types import Interval, Span

RULES = ScreenTimeRules(fuse_gap_ms=1750)  # not the default: an export must say what was used
SHA = "0123456789abcdef" * 4
START = 2000
EVIL = '=HYPERLINK("http://x.invalid","pay")'
ROWS = [
    Interval("Zoë", Span(START, START + 90_500), "auto", 0.9876),
    Interval(EVIL, Span(START + 1000, START + 3000), "manual", 1.0),
    Interval("Zoë", Span(START + 95_000, START + 96_000), "reviewed", 0.5),
    Interval("@cmd", Span(START + 100_000, START + 100_500), "auto", 0.7),
]
DURATION = 120_000


def _episode(root: Path) -> EpisodePaths:
    paths = EpisodePaths(root, "A Show", "ep01")
    write_json(
        paths.manifest_json,
        {
            "source": {"sha256": SHA, "path": "/films/ep 01.mp4", "size_bytes": 5},
            "show": "A Show",
            "episode": "ep01",
            "fps": 25.0,
            "duration_ms": DURATION,
            "start_ms": START,
            "width": 1280,
            "height": 720,
            "shots": [{"scene_id": 0, "start_ms": START, "end_ms": START + DURATION}],
            "missing": [],
        },
    )
    write_timeline(paths, ROWS)
    write_totals(paths, totals(ROWS, DURATION), RULES)
    return paths


@pytest.fixture
def paths(tmp_path: Path) -> EpisodePaths:
    return _episode(tmp_path / "data")


def test_workbook_has_three_sheets_with_frozen_headers(paths: EpisodePaths) -> None:
    (file,) = export(paths, "xlsx")
    assert file == paths.exports / "ep01.xlsx"
    book = load_workbook(file)
    assert book.sheetnames == ["Totals", "Timeline", "Rules & source"]
    for sheet in book:
        assert sheet.freeze_panes == "A2"
        assert all(cell.font.bold for cell in sheet[1])
        assert all(sheet.column_dimensions[c.column_letter].width > len(str(c.value)) for c in sheet[1])


def test_durations_are_numbers_that_show_as_time(paths: EpisodePaths) -> None:
    sheet = load_workbook(export(paths, "xlsx")[0])["Totals"]
    zoe = [c.value for c in sheet[2]]
    assert zoe[0] == "Zoë"
    assert zoe[1] == timedelta(milliseconds=91_500)
    assert zoe[2] == pytest.approx(0.7625)
    assert zoe[3] == 2
    assert (zoe[4], zoe[5], zoe[6]) == (timedelta(0), timedelta(seconds=96), 91_500)
    assert sheet["B2"].number_format == "[h]:mm:ss"
    with zipfile.ZipFile(paths.exports / "ep01.xlsx") as archive:
        xml = archive.read("xl/worksheets/sheet1.xml").decode()
    value = xml.split('r="B2"')[1].split("<v>")[1].split("</v>")[0]
    assert float(value) == pytest.approx(91.5 / 86_400, abs=1e-12)
    assert 'r="B2" t="s"' not in xml


def test_timeline_sheet_counts_positions_from_the_first_frame(paths: EpisodePaths) -> None:
    sheet = load_workbook(export(paths, "xlsx")[0])["Timeline"]
    rows = list(sheet.iter_rows(min_row=2, values_only=True))
    assert len(rows) == len(ROWS)
    for row, want in zip(rows, ROWS, strict=True):
        person, start, end, length, source, confidence, start_ms, end_ms = row
        assert (person, source, confidence) == (want.person, want.source, want.confidence)
        assert (start_ms, end_ms) == tuple(want.span)
        assert start == timedelta(milliseconds=want.span.start_ms - START)
        assert end - start == length == timedelta(milliseconds=want.span.length_ms)


def test_workbook_says_source_rules_and_software(paths: EpisodePaths) -> None:
    sheet = load_workbook(export(paths, "xlsx")[0])["Rules & source"]
    said = dict(sheet.iter_rows(min_row=2, values_only=True))
    assert said["Source SHA-256"] == SHA
    assert (said["Show"], said["Episode"], said["Source file"]) == ("A Show", "ep01", "ep 01.mp4")
    assert said["Duration"] == "0:02:00.000"
    assert said["Duration (ms)"] == DURATION
    assert said["Rules: version"] == 1
    assert said["Rules: gaps below this are joined (ms)"] == 1750
    assert "1750 ms" in said["Rule set"]
    assert said["Made by"] == f"screenalyzer {__version__}"


def test_no_cell_of_a_workbook_is_a_formula(paths: EpisodePaths) -> None:
    (file,) = export(paths, "xlsx")
    cells = [c for sheet in load_workbook(file) for row in sheet.iter_rows() for c in row]
    assert all(c.data_type != "f" for c in cells)
    names = {c.value: c for c in cells if c.column == 1}
    assert names[EVIL].quotePrefix
    assert names["@cmd"].quotePrefix
    assert not names["Zoë"].quotePrefix
    with zipfile.ZipFile(file) as archive:
        assert all(b"<f>" not in archive.read(name) for name in archive.namelist())


def test_csv_files_begin_with_the_contract(paths: EpisodePaths) -> None:
    totals_csv, timeline_csv, rules_json = export(paths, "csv")
    assert [p.name for p in (totals_csv, timeline_csv, rules_json)] == [
        "ep01-totals.csv",
        "ep01-timeline.csv",
        "ep01.rules.json",
    ]
    with totals_csv.open(newline="", encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    assert list(rows[0])[:6] == ["person_name", "total_ms", "appearances", "percent", "first_ms", "last_ms"]
    assert rows[0]["total_ms"] == "91500"
    assert rows[0]["screen_time"] == "0:01:31.500"
    assert (rows[0]["first_ms"], rows[0]["first_seen"]) == (str(START), "0:00:00.000")
    with timeline_csv.open(newline="", encoding="utf-8") as f:
        lines = list(csv.DictReader(f))
    assert list(lines[0])[:5] == ["person_name", "start_ms", "end_ms", "source", "confidence"]
    assert (lines[2]["from"], lines[2]["to"], lines[2]["length"]) == (
        "0:01:35.000",
        "0:01:36.000",
        "0:00:01.000",
    )
    assert all("v1: gaps under 1750 ms" in row["rule_set"] for row in rows + lines)


def test_csv_rules_for_programs(paths: EpisodePaths) -> None:
    said = json.loads(export(paths, "csv")[2].read_text(encoding="utf-8"))
    assert said["source_sha256"] == SHA
    assert (said["rules_version"], said["fuse_gap_ms"], said["min_interval_ms"]) == (1, 1750, 500)
    assert said["software"] == f"screenalyzer {__version__}"


def test_csv_cells_are_no_formulas(paths: EpisodePaths) -> None:
    for file in export(paths, "csv")[:2]:
        with file.open(newline="", encoding="utf-8") as f:
            names = {row["person_name"] for row in csv.DictReader(f)}
        assert names == {"Zoë", "'" + EVIL, "'@cmd"}


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@a", "\t=1", "\r=1", "\n=1", "  =1", "＝1"])
def test_neutralise_marks_formulas(text: str) -> None:
    assert neutralise(text) == "'" + text


@pytest.mark.parametrize("text", ["Ada", "", "a=b", "Mary-Ann", "O'Neil", "1+1", "Person 01"])
def test_neutralise_leaves_names_alone(text: str) -> None:
    assert neutralise(text) == text


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_equal_results_are_equal_bytes(tmp_path: Path, kind: str) -> None:
    first = export(_episode(tmp_path / "one"), kind)  # type: ignore[arg-type]
    second = export(_episode(tmp_path / "two"), kind)  # type: ignore[arg-type]
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    if kind == "xlsx":
        with zipfile.ZipFile(first[0]) as archive:
            assert {i.date_time[0] for i in archive.infolist()} == {1980}
            assert b"modified" not in archive.read("docProps/core.xml")


def test_where_it_goes(paths: EpisodePaths, tmp_path: Path) -> None:
    assert export(paths, "xlsx", tmp_path / "pay.xlsx") == [tmp_path / "pay.xlsx"]
    assert export(paths, "xlsx", tmp_path) == [tmp_path / "ep01.xlsx"]
    assert export(paths, "csv", tmp_path / "new")[0] == tmp_path / "new" / "ep01-totals.csv"
    assert export(paths, "csv", tmp_path / "pay.csv")[1] == tmp_path / "pay-timeline.csv"
    with pytest.raises(InputError, match=r"pay\.csv does not end in \.xlsx"):
        export(paths, "xlsx", tmp_path / "pay.csv")
    with pytest.raises(InputError, match="'pdf'"):
        export(paths, "pdf")  # type: ignore[arg-type]


def test_an_episode_without_people(paths: EpisodePaths) -> None:
    write_timeline(paths, [])
    write_totals(paths, [], RULES)
    book = load_workbook(export(paths, "xlsx")[0])
    assert book["Totals"].max_row == book["Timeline"].max_row == 1
    assert [len(p.read_text().splitlines()) for p in export(paths, "csv")[:2]] == [1, 1]


def test_control_characters_do_not_break_a_workbook(paths: EpisodePaths) -> None:
    rows = [Interval("A\x00d\x1ba", Span(START, START + 1000), "auto", 1.0)]
    write_totals(paths, totals(rows, DURATION), RULES)
    assert load_workbook(export(paths, "xlsx")[0])["Totals"]["A2"].value == "Ada"


def test_an_unprocessed_episode_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="Process the episode first"):
        export(EpisodePaths(tmp_path, "s", "none"), "csv")
