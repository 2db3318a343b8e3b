import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from screenalyzer import artifacts
from screenalyzer.artifacts import (
    EpisodePaths,
    clean_name,
    is_done,
    mark_done,
    read_table,
    write_bytes,
    write_table,
)
from screenalyzer.errors import ArtifactError, EpisodeNameError
from screenalyzer.schemas import MANIFEST, TOTALS

ROWS = pa.table({"frame_index": [0, 5], "ts_ms": [0, 200], "scene_id": [0, 0]})


# ---- names


@given(raw=st.text(max_size=150))
@example(raw="../../etc/passwd")
@example(raw="e\u0301pisode")
@example(raw="=\u0338")
@example(raw="-\u0338")
@example(raw="\u0301")
@example(raw="หนึ่งที่")
@example(raw="हिन्दी")
def test_a_name_is_one_safe_path_component_and_stays_itself(raw: str) -> None:
    try:
        name = clean_name(raw)
    except EpisodeNameError:
        return
    assert Path(name).name == name
    assert name not in {".", ".."}
    assert not name.startswith((".", "-"))
    assert not set(name) & set('/\\:*?"<>| \t\n\r\0')
    assert not any(unicodedata.category(c)[0] in "CZ" for c in name)
    assert name == unicodedata.normalize("NFC", name)
    assert clean_name(name) == name


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("S01E01", "S01E01"),
        ("  The Show: part 2!  ", "The-Show-part-2"),
        ("../../etc/passwd", "etc-passwd"),
        ("a/../b", "a-..-b"),
        ("..hidden", "hidden"),
        ("a\0b\x1b[31m", "a-b-31m"),
        ("e\u0301te\u0301", "été"),
        ("第1話", "第1話"),
        ("Серия_1.final", "Серия_1.final"),
        ("a\udce9b", "a-b"),
        ("--replace", "replace"),
    ],
)
def test_names(raw: str, name: str) -> None:
    assert clean_name(raw) == name


@pytest.mark.parametrize("raw", ["हिन्दी", "หนึ่งที่", "বাংলা"])
def test_letters_of_every_script_stay_whole(raw: str) -> None:
    assert clean_name(raw) == unicodedata.normalize("NFC", raw)


@pytest.mark.parametrize("raw", ["", " ", "...", "///", "-", "\0", "💥"])
def test_what_has_no_letter_is_no_name(raw: str) -> None:
    with pytest.raises(EpisodeNameError, match=r"cannot name the show.*Rename it"):
        clean_name(raw, "show")


def test_the_longest_name() -> None:
    assert clean_name("a" * 120) == "a" * 120
    with pytest.raises(EpisodeNameError, match="too long"):
        clean_name("a" * 121)


def test_any_name_that_is_accepted_can_name_a_folder_and_its_exports(tmp_path: Path) -> None:
    try:
        name = clean_name("話" * 120)
    except EpisodeNameError:
        return
    write_bytes(tmp_path / name / f"{name}-timeline.png", b"x")


# ---- files


def test_a_file_is_replaced_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "f.bin"
    write_bytes(target, b"old")
    write_bytes(target, b"new")
    assert target.read_bytes() == b"new"
    assert list(target.parent.iterdir()) == [target]


def test_a_killed_writer_never_leaves_half_a_file(tmp_path: Path) -> None:
    """Two contents of several megabytes in turn; whatever the moment of the kill, one of them is there."""
    code = (
        "import sys; from pathlib import Path; from screenalyzer.artifacts import write_bytes\n"
        "contents = [bytes([n]) * (3_000_000 + n) for n in (1, 2)]\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        "    for c in contents: write_bytes(Path(sys.argv[1]), c)\n"
    )
    target, rng, seen = tmp_path / "f.bin", random.Random(3), []
    whole = {bytes([n]) * (3_000_000 + n) for n in (1, 2)}
    leftovers = 0
    for _ in range(8):
        writer = subprocess.Popen([sys.executable, "-c", code, str(target)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        writer.stdout.readline()
        while not target.exists():
            time.sleep(0.001)
        time.sleep(rng.uniform(0.0, 0.05))
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        content = target.read_bytes()
        assert content in whole
        seen.append(content[0])
        leftovers += len(list(tmp_path.glob(".*.tmp")))
        artifacts.sweep_temporaries(tmp_path)
        assert list(tmp_path.iterdir()) == [target]
    assert leftovers, "no kill fell into a write: the test proves nothing"


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "f"
    target.mkdir()
    with pytest.raises(OSError, match="directory"):
        write_bytes(target, b"x")
    assert target.is_dir()


def test_equal_json_is_equal_bytes(tmp_path: Path) -> None:
    artifacts.write_json(tmp_path / "a", {"b": "é", "a": [1]})
    artifacts.write_json(tmp_path / "b", {"a": [1], "b": "é"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert artifacts.read_json(tmp_path / "a") == {"a": [1], "b": "é"}


def test_json_holds_a_path_that_is_not_utf8(tmp_path: Path) -> None:
    path = os.fsdecode(b"/films/caf\xe9.mp4")
    artifacts.write_json(tmp_path / "a", {"path": path})
    (tmp_path / "a").read_text(encoding="utf-8")
    assert artifacts.read_json(tmp_path / "a") == {"path": path}


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00"])
def test_damaged_json_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"a\.json is damaged.*again"):
        artifacts.read_json(tmp_path / "a.json")


@pytest.mark.parametrize("read", [artifacts.read_json, artifacts.read_csv, lambda p: read_table(p, MANIFEST)])
def test_missing_files_are_named(tmp_path: Path, read: Callable[[Path], object]) -> None:
    with pytest.raises(ArtifactError, match=r"none is missing\. Process the episode first"):
        read(tmp_path / "none")


def test_csv_keeps_every_character(tmp_path: Path) -> None:
    rows = [{"a": 'x,"y"\nz', "b": "é"}, {"a": "", "b": "2"}]
    artifacts.write_csv(tmp_path / "a.csv", ("a", "b"), [tuple(r.values()) for r in rows])
    assert artifacts.read_csv(tmp_path / "a.csv") == rows


# ---- tables


def test_a_table_comes_back_with_its_metadata(tmp_path: Path) -> None:
    path = tmp_path / "show=1" / "m.parquet"  # a folder that a reader of data sets would take for a column
    write_table(path, ROWS, MANIFEST, {"embedder": "x"})
    found = read_table(path, MANIFEST)
    assert found.schema.remove_metadata() == MANIFEST.remove_metadata()
    assert found.to_pylist() == ROWS.to_pylist()
    assert found.schema.metadata[b"embedder"] == b"x"
    assert read_table(path, MANIFEST, ["ts_ms"]).to_pydict() == {"ts_ms": [0, 200]}


def test_equal_tables_are_equal_bytes(tmp_path: Path) -> None:
    write_table(tmp_path / "a", ROWS, MANIFEST)
    write_table(
        tmp_path / "b", pa.concat_tables([ROWS.slice(0, 1), ROWS.slice(1)]).combine_chunks(), MANIFEST
    )
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    "table",
    [
        ROWS.drop_columns(["ts_ms"]),
        ROWS.append_column("x", ROWS["ts_ms"]),
        ROWS.select(["ts_ms", "frame_index", "scene_id"]),
    ],
)
def test_other_columns_are_not_written(tmp_path: Path, table: pa.Table) -> None:
    with pytest.raises(ArtifactError, match="columns"):
        write_table(tmp_path / "m.parquet", table, MANIFEST)
    assert not list(tmp_path.iterdir())


def test_values_of_another_kind_are_not_written(tmp_path: Path) -> None:
    table = ROWS.set_column(1, "ts_ms", pa.array(["soon", "later"]))
    with pytest.raises(ArtifactError):
        write_table(tmp_path / "m.parquet", table, MANIFEST)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (None, "schema None"),
        ({**TOTALS.metadata}, "schema b'totals', not b'manifest'"),
        ({**MANIFEST.metadata, b"schema_version": b"0"}, "schema_version b'0', not b'1'"),
    ],
)
def test_another_schema_or_version_is_not_read(
    tmp_path: Path, metadata: dict[bytes, bytes] | None, message: str
) -> None:
    pq.write_table(ROWS.replace_schema_metadata(metadata), tmp_path / "m.parquet")
    with pytest.raises(ArtifactError, match=message):
        read_table(tmp_path / "m.parquet", MANIFEST)


@pytest.mark.parametrize("name", ["ts_ms", "scene_id"])
def test_a_table_that_only_claims_its_schema_is_not_read(tmp_path: Path, name: str) -> None:
    lying = ROWS.set_column(ROWS.schema.names.index(name), name, pa.array(["a", "b"]))
    pq.write_table(lying.replace_schema_metadata(MANIFEST.metadata), tmp_path / "m.parquet")
    with pytest.raises(ArtifactError):
        read_table(tmp_path / "m.parquet", MANIFEST, [name])


@given(cut=st.floats(0, 0.999), flip=st.booleans())
def test_a_damaged_table_is_an_artifact_error_or_whole(
    tmp_path_factory: pytest.TempPathFactory, cut: float, flip: bool
) -> None:
    path = tmp_path_factory.mktemp("t") / "m.parquet"
    write_table(path, ROWS, MANIFEST)
    data = bytearray(path.read_bytes())
    at = int(cut * len(data))
    if flip:
        data[at : at + 16] = b"\xff" * len(data[at : at + 16])
    path.write_bytes(data if flip else data[:at])
    if not flip:
        with pytest.raises(ArtifactError, match=r"m\.parquet is damaged"):
            read_table(path, MANIFEST)
        return
    with contextlib.suppress(ArtifactError):
        assert read_table(path, MANIFEST).schema.names == MANIFEST.names


# ---- markers


@pytest.fixture
def marked(tmp_path: Path) -> tuple[Path, Path]:
    output, marker = tmp_path / "out" / "a.bin", tmp_path / "out" / "stages" / "s.json"
    write_bytes(output, b"x")
    mark_done(marker, "f1", [output])
    return output, marker


def test_a_marker_says_what_was_made_from_what(marked: tuple[Path, Path]) -> None:
    output, marker = marked
    assert is_done(marker, "f1")
    assert not is_done(marker, "f2")
    assert json.loads(marker.read_bytes()) == {
        "fingerprint": "f1", "outputs": {"../a.bin": artifacts.sha256_file(output)},
    }  # fmt: skip


def test_a_marker_without_its_output_is_void(marked: tuple[Path, Path]) -> None:
    marked[0].unlink()
    assert not is_done(marked[1], "f1")


@pytest.mark.parametrize("content", [b"", b"longer", b"y"])
def test_a_marker_of_a_damaged_output_is_void(marked: tuple[Path, Path], content: bytes) -> None:
    marked[0].write_bytes(content)
    assert not is_done(marked[1], "f1")
    assert artifacts.recorded_fingerprint(marked[1]) == "f1"
    marked[0].write_bytes(b"x")
    assert is_done(marked[1], "f1")


def test_a_folder_in_the_place_of_an_output_is_not_that_output(marked: tuple[Path, Path]) -> None:
    marked[0].unlink()
    marked[0].mkdir()
    assert not is_done(marked[1], "f1")


def test_a_marker_that_is_not_there_records_nothing(tmp_path: Path) -> None:
    assert artifacts.recorded_fingerprint(tmp_path / "none.json") is None


def test_a_marker_moves_with_its_data_root(marked: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "out").rename(tmp_path / "elsewhere")
    assert is_done(tmp_path / "elsewhere" / "stages" / "s.json", "f1")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"{}", b'{"fingerprint": "f1"}', b'{"fingerprint": "f1", "outputs": 3}',
     b'{"fingerprint": "f1", "outputs": [3]}', b"\xff\xff"],
)  # fmt: skip
def test_a_damaged_marker_is_no_marker(marked: tuple[Path, Path], content: bytes) -> None:
    marked[1].write_bytes(content)
    assert not is_done(marked[1], "f1")


@given(
    parts=st.lists(st.one_of(st.integers(), st.text(), st.dictionaries(st.text(), st.integers())), max_size=4)
)
def test_fingerprints_are_of_values(parts: list[object]) -> None:
    turned = [dict(reversed(p.items())) if isinstance(p, dict) else p for p in parts]
    assert artifacts.fingerprint(*parts) == artifacts.fingerprint(*turned)
    assert artifacts.fingerprint(*parts) != artifacts.fingerprint(*parts, "more")


# ---- an episode's folders


def test_leftovers_are_swept_and_nothing_else(tmp_path: Path) -> None:
    kept = [tmp_path / "a" / "x.tmp", tmp_path / "a" / ".hidden", tmp_path / "b.parquet"]
    gone = [tmp_path / "a" / "b" / ".faces.parquet.12.tmp", tmp_path / ".m.json.9.tmp"]
    for path in (*kept, *gone):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    artifacts.sweep_temporaries(tmp_path)
    assert [p for p in (*kept, *gone) if p.exists()] == kept
    artifacts.sweep_temporaries(tmp_path / "none")


def test_a_purge_leaves_the_log_and_other_episodes(tmp_path: Path) -> None:
    mine, other = (EpisodePaths(tmp_path, "show", name) for name in ("e1", "e2"))
    for paths in (mine, other):
        for path in (
            paths.source_json,
            paths.crops / "a.jpg",
            paths.timeline,
            paths.audit,
            paths.marker("s"),
        ):
            write_bytes(path, b"x")
    write_bytes(mine.facebank / "people.parquet", b"x")
    mine.purge()
    left = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert {p for p in left if "/e1/" in p} == {"outputs/show/e1/diagnostics/audit.jsonl"}
    assert len([p for p in left if "/e2/" in p]) == 5
    assert mine.facebank.is_dir()
    EpisodePaths(tmp_path, "show", "never").purge()


def test_paths_are_below_the_root_and_distinct(tmp_path: Path) -> None:
    paths = EpisodePaths(tmp_path, "show", "ep")
    names = [n for n, v in vars(EpisodePaths).items() if isinstance(v, property) and n != "key"]
    found = [getattr(paths, n) for n in names] + [
        paths.chunk_frames(3),
        paths.chunk_faces(3),
        paths.marker("s"),
    ]
    assert len(set(found)) == len(found) > 20
    assert all(p.is_relative_to(tmp_path) for p in found)
    assert paths.relative(paths.crops / "a.jpg") == "harvest/show/ep/crops/a.jpg"
    assert paths.key == "show/ep"
