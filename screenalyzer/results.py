"""An episode's results as artifacts: timeline.csv, totals.csv, totals.parquet, and the facts they rest on.

The CSV files hold the columns of the data contract and nothing else; the rule set that made them is in the
metadata of totals.parquet, and every export takes it from there.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from screenalyzer.artifacts import EpisodePaths, read_csv, read_json, read_table, write_csv, write_table
from screenalyzer.errors import ArtifactError
from screenalyzer.schemas import TOTALS
from screenalyzer.screentime import CONFIDENCE_DECIMALS, PERCENT_DECIMALS, describe
from screenalyzer.settings import ScreenTimeRules
from screenalyzer.types import Interval, Span, Total

TIMELINE_COLUMNS: Final = ("person_name", "start_ms", "end_ms", "source", "confidence")
_RULES_KEY: Final = "rules"
_RULES_TEXT_KEY: Final = "rules_text"


@dataclass(frozen=True)
class EpisodeFacts:
    """What an export or a picture says about its source; times in milliseconds of the source's clock.

    Attributes:
        show: name of the show.
        episode: name of the episode.
        sha256: of the video file.
        file_name: of the video file, without its folder.
        fps: mean frame rate.
        duration_ms: from the first frame to the end of the last.
        start_ms: time of the first frame; a position in the video is a time less this.
        width: pixels of the displayed frame.
        height: likewise.
        shots: spans of the shots, ascending.
        missing: spans that could not be decoded.
    """

    show: str
    episode: str
    sha256: str
    file_name: str
    fps: float
    duration_ms: int
    start_ms: int
    width: int
    height: int
    shots: tuple[Span, ...]
    missing: tuple[Span, ...]

    @classmethod
    def load(cls, paths: EpisodePaths) -> "EpisodeFacts":
        """Read them from the manifest.

        Raises:
            ArtifactError: the manifest is missing or damaged.
        """
        found = read_json(paths.manifest_json)
        try:
            return cls(
                show=str(found["show"]),
                episode=str(found["episode"]),
                sha256=str(found["source"]["sha256"]),
                file_name=str(found["source"]["path"]).replace("\\", "/").rsplit("/", 1)[-1],
                fps=float(found["fps"]),
                duration_ms=int(found["duration_ms"]),
                start_ms=int(found["start_ms"]),
                width=int(found["width"]),
                height=int(found["height"]),
                shots=tuple(Span(int(s["start_ms"]), int(s["end_ms"])) for s in found["shots"]),
                missing=tuple(Span(int(s["start_ms"]), int(s["end_ms"])) for s in found["missing"]),
            )
        except (KeyError, TypeError, ValueError) as e:
            raise ArtifactError(
                f"{paths.manifest_json} is damaged ({e!r}). Process the episode again."
            ) from e


def write_timeline(paths: EpisodePaths, intervals: Iterable[Interval]) -> None:
    """Write timeline.csv, rows in the order given."""
    rows = (
        (i.person, i.span.start_ms, i.span.end_ms, i.source, f"{i.confidence:.{CONFIDENCE_DECIMALS}f}")
        for i in intervals
    )
    write_csv(paths.timeline, TIMELINE_COLUMNS, rows)


def read_timeline(paths: EpisodePaths) -> list[Interval]:
    """Read timeline.csv.

    Raises:
        ArtifactError: missing or damaged.
    """
    try:
        return [
            Interval(
                row["person_name"],
                Span(int(row["start_ms"]), int(row["end_ms"])),
                row["source"],
                float(row["confidence"]),
            )
            for row in read_csv(paths.timeline)
        ]
    except (KeyError, TypeError, ValueError) as e:
        raise ArtifactError(f"{paths.timeline} is damaged ({e!r}). Process the episode again.") from e


def write_totals(paths: EpisodePaths, totals: Iterable[Total], rules: ScreenTimeRules) -> None:
    """Write totals.csv and totals.parquet; the latter names the rules the totals were made by."""
    rows = [(t.person, t.total_ms, t.appearances, t.percent, t.first_ms, t.last_ms) for t in totals]
    text = ((*row[:3], f"{row[3]:.{PERCENT_DECIMALS}f}", *row[4:]) for row in rows)
    write_csv(paths.totals_csv, TOTALS.names, text)
    columns = [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in TOTALS.names]
    table = pa.table([pa.array(c, f.type) for c, f in zip(columns, TOTALS, strict=True)], names=TOTALS.names)
    metadata = {_RULES_KEY: rules.model_dump_json(), _RULES_TEXT_KEY: describe(rules)}
    write_table(paths.totals_parquet, table, TOTALS, metadata)


def read_totals(paths: EpisodePaths) -> list[Total]:
    """Read totals.parquet.

    Raises:
        ArtifactError: missing, damaged, or of another schema or version.
    """
    table = read_table(paths.totals_parquet, TOTALS)
    return [Total(*row) for row in zip(*(c.to_pylist() for c in table.columns), strict=True)]


def read_rules(paths: EpisodePaths) -> ScreenTimeRules:
    """The rules that the totals and the timeline of an episode were made by.

    Raises:
        ArtifactError: the totals are missing or damaged, or do not say.
    """
    read_table(paths.totals_parquet, TOTALS, ["person_name"])
    metadata = pq.read_schema(paths.totals_parquet).metadata
    try:
        return ScreenTimeRules.model_validate_json(metadata[_RULES_KEY.encode()])
    except (KeyError, ValidationError) as e:
        raise ArtifactError(
            f"{paths.totals_parquet} does not say its rules. Process the episode again."
        ) from e


def clock(ms: int, *, hours: bool = False, millis: bool = False) -> str:
    """A length or position as people read it: m:ss, or h:mm:ss from an hour on, or with `hours` always.

    Rounded to the second, half up, unless `millis` asks for the exact h:mm:ss.mmm form.
    """
    sign, ms = ("-", -ms) if ms < 0 else ("", ms)
    seconds, rest = (ms // 1000, f".{ms % 1000:03d}") if millis else ((ms + 500) // 1000, "")
    minutes, s = divmod(seconds, 60)
    if hours or minutes >= 60:
        return f"{sign}{minutes // 60}:{minutes % 60:02d}:{s:02d}{rest}"
    return f"{sign}{minutes}:{s:02d}{rest}"
