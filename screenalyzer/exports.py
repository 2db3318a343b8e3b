"""Files for people outside: an Excel workbook, or CSV files with the same content.

**xlsx** is one file with the sheets Totals, Timeline, and Rules & source. Lengths and positions are numbers
that the spreadsheet shows as h:mm:ss and can add up; exact milliseconds stand beside them.

**csv** is three files beside one another:

- `NAME-totals.csv` and `NAME-timeline.csv`: the columns of the data contract first, then the same times as
  h:mm:ss.mmm, then `rule_set`, so that a row copied out of the file still says by which rules it came about;
- `NAME.rules.json`: rule set, source (sha256, file, duration) and software version, for programs.

Positions count from the first frame, as a player shows them; columns that end in `_ms` or "(ms)" keep the
source's own clock, as in the artifacts. The rules are those that made the totals, not today's settings.

Names come from users and end in spreadsheets, where a cell that begins with =, +, - or @ is a formula that
can fetch and run things. In CSV such a name gets a leading apostrophe, the spreadsheet's own mark for text
(OWASP, "CSV Injection"). In a workbook it is stored as text with the quote-prefix style, and reads as it was
written.

Equal results give equal bytes: no file carries the time it was made.
"""

import io
import re
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from openpyxl import Workbook
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter

from screenalyzer import __version__
from screenalyzer.artifacts import EpisodePaths, pull, write_bytes, write_csv, write_json
from screenalyzer.errors import InputError
from screenalyzer.results import (
    TIMELINE_COLUMNS,
    EpisodeFacts,
    clock,
    read_rules,
    read_timeline,
    read_totals,
)
from screenalyzer.schemas import TOTALS
from screenalyzer.screentime import CONFIDENCE_DECIMALS, PERCENT_DECIMALS, describe
from screenalyzer.settings import ScreenTimeRules
from screenalyzer.types import Interval, Total

Format = Literal["csv", "xlsx"]

_DAY_MS: Final = 86_400_000  # a spreadsheet counts time in days
_LENGTH: Final = "[h]:mm:ss"  # brackets: hours go on beyond 24
_EXACT: Final = "[h]:mm:ss.000"
_COUNT: Final = "#,##0"
_PERCENT: Final = "0.0%"
_CONFIDENCE: Final = "0.00"
_FORMULA_STARTS: Final = tuple("=+-@\t\r\n＝＋－＠")  # the wide forms too: some spreadsheets fold them
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the first moment a zip archive can name


@dataclass(frozen=True)
class _Report:
    """Everything an export says."""

    facts: EpisodeFacts
    rules: ScreenTimeRules
    totals: Sequence[Total]
    timeline: Sequence[Interval]


@dataclass(frozen=True)
class _Column:
    """A column of a sheet: its heading, the format of its cells, its width in characters."""

    heading: str
    number_format: str
    width: int


_TOTALS_SHEET: Final = (
    _Column("Person", "@", 28),
    _Column("Screen time", _LENGTH, 13),
    _Column("% of episode", _PERCENT, 13),
    _Column("Appearances", _COUNT, 13),
    _Column("First seen", _LENGTH, 12),
    _Column("Last seen", _LENGTH, 12),
    _Column("Screen time (ms)", _COUNT, 17),
)
_TIMELINE_SHEET: Final = (
    _Column("Person", "@", 28),
    _Column("From", _EXACT, 14),
    _Column("To", _EXACT, 14),
    _Column("Length", _EXACT, 14),
    _Column("Source", "@", 11),
    _Column("Confidence", _CONFIDENCE, 12),
    _Column("From (ms)", _COUNT, 13),
    _Column("To (ms)", _COUNT, 13),
)


def export(paths: EpisodePaths, format: Format, out: Path | None = None) -> list[Path]:  # noqa: A002
    """Write the totals and the timeline of an episode for people outside.

    Args:
        paths: the episode, processed.
        format: what to write.
        out: a folder, or a file whose name ends in the format; for csv, `DIR/NAME.csv` gives
            `DIR/NAME-totals.csv` and so on. Default: the episode's folder of exports, named after it.

    Returns:
        The files written: one for xlsx; totals, timeline and rules for csv.

    Raises:
        ArtifactError: the episode was not processed, or its artifacts are damaged.
        InputError: another format, or `out` is a file name of another kind.
    """
    if format not in ("csv", "xlsx"):
        raise InputError(f"{format!r} is not a format of exports. Choose csv or xlsx.")
    pull(paths)
    report = _Report(EpisodeFacts.load(paths), read_rules(paths), read_totals(paths), read_timeline(paths))
    folder, name = _target(paths, format, out)
    if format == "xlsx":
        return [_write_workbook(folder / f"{name}.xlsx", report)]
    return _write_csv_files(folder, name, report)


def neutralise(text: str) -> str:
    """A text that no spreadsheet takes for a formula: a leading apostrophe where it could be one."""
    return (
        f"'{text}" if text.startswith(_FORMULA_STARTS) or text.lstrip().startswith(_FORMULA_STARTS) else text
    )


def _target(paths: EpisodePaths, format_: str, out: Path | None) -> tuple[Path, str]:
    """Folder and bare name of what to write."""
    if out is None:
        return paths.exports, paths.episode
    if out.is_dir() or not out.suffix:
        return out, paths.episode
    if out.suffix.lower() != f".{format_}":
        raise InputError(f"{out.name} does not end in .{format_}. Name a folder or a .{format_} file.")
    return out.parent, out.stem


def _provenance(report: _Report) -> list[tuple[str, str, str | int | float]]:
    """Key for programs, label for people, value: where the figures come from."""
    facts, rules = report.facts, report.rules
    return [
        ("show", "Show", facts.show),
        ("episode", "Episode", facts.episode),
        ("source_file", "Source file", facts.file_name),
        ("source_sha256", "Source SHA-256", facts.sha256),
        ("duration", "Duration", clock(facts.duration_ms, hours=True, millis=True)),
        ("duration_ms", "Duration (ms)", facts.duration_ms),
        ("start_ms", "Clock of the first frame (ms)", facts.start_ms),
        ("fps", "Frames a second", round(facts.fps, 3)),
        ("missing_ms", "Not decodable (ms)", sum(s.length_ms for s in facts.missing)),
        ("rule_set", "Rule set", describe(rules)),
        ("rules_version", "Rules: version", rules.version),
        ("fuse_gap_ms", "Rules: gaps below this are joined (ms)", rules.fuse_gap_ms),
        ("min_interval_ms", "Rules: shortest appearance (ms)", rules.min_interval_ms),
        ("partial_min_conf", "Rules: least confidence of a partial face", rules.partial_min_conf),
        ("partial_min_ms", "Rules: shortest stretch of a partial face (ms)", rules.partial_min_ms),
        ("software", "Made by", f"screenalyzer {__version__}"),
    ]


def _write_csv_files(folder: Path, name: str, report: _Report) -> list[Path]:
    start, rule_set = report.facts.start_ms, describe(report.rules)

    def at(ms: int) -> str:
        return clock(ms - start, hours=True, millis=True)

    def length(ms: int) -> str:
        return clock(ms, hours=True, millis=True)

    totals_csv, timeline_csv = folder / f"{name}-totals.csv", folder / f"{name}-timeline.csv"
    write_csv(
        totals_csv,
        [*TOTALS.names, "screen_time", "first_seen", "last_seen", "rule_set"],
        (
            (
                neutralise(t.person),
                t.total_ms,
                t.appearances,
                f"{t.percent:.{PERCENT_DECIMALS}f}",
                t.first_ms,
                t.last_ms,
                length(t.total_ms),
                at(t.first_ms),
                at(t.last_ms),
                rule_set,
            )
            for t in report.totals
        ),
    )
    write_csv(
        timeline_csv,
        [*TIMELINE_COLUMNS, "from", "to", "length", "rule_set"],
        (
            (
                neutralise(i.person),
                *i.span,
                i.source,
                f"{i.confidence:.{CONFIDENCE_DECIMALS}f}",
                at(i.span.start_ms),
                at(i.span.end_ms),
                length(i.span.length_ms),
                rule_set,
            )
            for i in report.timeline
        ),
    )
    rules_json = folder / f"{name}.rules.json"
    write_json(rules_json, {key: value for key, _, value in _provenance(report)})
    return [totals_csv, timeline_csv, rules_json]


def _write_workbook(path: Path, report: _Report) -> Path:
    start = report.facts.start_ms
    book = Workbook()
    book.remove(book.active)

    def days(ms: int) -> float:
        return ms / _DAY_MS

    totals = (
        (
            t.person,
            days(t.total_ms),
            t.percent / 100,
            t.appearances,
            days(t.first_ms - start),
            days(t.last_ms - start),
            t.total_ms,
        )
        for t in report.totals
    )
    rows = (
        (
            i.person,
            days(i.span.start_ms - start),
            days(i.span.end_ms - start),
            days(i.span.length_ms),
            i.source,
            i.confidence,
            *i.span,
        )
        for i in report.timeline
    )
    _sheet(book, "Totals", _TOTALS_SHEET, totals)
    _sheet(book, "Timeline", _TIMELINE_SHEET, rows)
    facts = ((label, value) for _, label, value in _provenance(report))
    _sheet(book, "Rules & source", (_Column("What", "@", 46), _Column("Value", "General", 90)), facts)
    book.properties.creator = f"screenalyzer {__version__}"
    book.properties.title = (
        f"Screen time of {_printable(report.facts.show)} {_printable(report.facts.episode)}"
    )
    unsettled = io.BytesIO()
    book.save(unsettled)
    write_bytes(path, _settled(unsettled))
    return path


def _sheet(book: Any, title: str, columns: Sequence[_Column], rows: Iterable[Sequence[object]]) -> None:
    """Add a sheet: bold frozen header, filter, widths, cells in the formats of their columns."""
    sheet = book.create_sheet(title)
    for n, column in enumerate(columns, start=1):
        cell = sheet.cell(1, n, column.heading)
        cell.font = Font(bold=True, color="FFFFFF")
        cell.fill = PatternFill("solid", fgColor="1F3A4D")
        cell.alignment = Alignment(horizontal="left" if n == 1 else "center", vertical="center")
        sheet.column_dimensions[get_column_letter(n)].width = column.width
    for row_number, row in enumerate(rows, start=2):
        for n, (value, column) in enumerate(zip(row, columns, strict=True), start=1):
            _fill(sheet.cell(row_number, n), value, column.number_format)
    sheet.row_dimensions[1].height = 20
    sheet.freeze_panes = "A2"
    sheet.auto_filter.ref = sheet.dimensions
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.fitToHeight = 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True
    sheet.print_title_rows = "1:1"


def _fill(cell: Any, value: object, number_format: str) -> None:
    if isinstance(value, str):
        text = _printable(value)
        cell.value = text
        cell.data_type = "s"  # openpyxl takes a leading = for a formula
        cell.quotePrefix = neutralise(text) != text
        cell.alignment = Alignment(horizontal="left", vertical="top", wrap_text=len(text) > 90)
        return
    cell.value = value
    cell.number_format = number_format
    if number_format == "General":
        cell.alignment = Alignment(horizontal="left")


def _printable(text: str) -> str:
    """Without the control characters that XML cannot hold."""
    return str(ILLEGAL_CHARACTERS_RE.sub("", text))


def _settled(workbook: io.BytesIO) -> bytes:
    """The same workbook without the times of its making."""
    out = io.BytesIO()
    with zipfile.ZipFile(workbook) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "docProps/core.xml":
                data = re.sub(rb"<dcterms:(created|modified)\b.*?</dcterms:\1>", b"", data, flags=re.DOTALL)
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            new.writestr(entry, data)
    return out.getvalue()
