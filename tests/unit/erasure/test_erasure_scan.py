"""What is hidden in files of every kind is found, and nothing else."""

import hashlib
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from screenalyzer.erasure.scan import Scan, scan_files
from screenalyzer.erasure.traces import Traces, digests, vectors_of
from screenalyzer.erasure.words import Words
from screenalyzer.errors import ArtifactError

NAME = "Zoë Quist"
VECTOR = np.linspace(-1, 1, 128, dtype=np.float32)
CROP = b"\xff\xd8" + bytes(range(256)) * 4
TRACES = Traces.of_bytes([VECTOR.astype("<f4").tobytes()], [CROP]) | Traces(
    digests=digests([b"the whole video"]), words=frozenset({NAME})
)


def _scan(root: Path, traces: Traces = TRACES, skip: tuple[Path, ...] = ()) -> Scan:
    return scan_files(root, traces, skip, lambda *_: None, lambda: False)


def _whats(root: Path, traces: Traces = TRACES) -> list[tuple[str, str]]:
    return [(f.path.as_posix(), f.what) for f in _scan(root, traces).found]


def _write(root: Path, name: str, column: pa.Array, metadata: dict[str, str] | None = None) -> None:
    pq.write_table(
        pa.table({"it": column}).replace_schema_metadata(metadata), root / name, compression="zstd"
    )


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float32()), pa.list_(pa.float32(), 128), pa.large_list(pa.float32())]
)
def test_a_vector_in_a_table(tmp_path: Path, kind: pa.DataType) -> None:
    rows = [(VECTOR + n).tolist() for n in range(1, 1200)]
    _write(tmp_path, "clean.parquet", pa.array(rows, kind))
    _write(tmp_path, "held.parquet", pa.array([*rows, None, VECTOR.tolist()], kind))
    assert _whats(tmp_path) == [("held.parquet", "a face as numbers in column it")]


def test_a_crop_as_a_file_in_a_table_and_in_an_archive(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(CROP)
    (tmp_path / "b.jpg").write_bytes(CROP[:-1])
    _write(tmp_path, "c.parquet", pa.array([b"x", None, CROP], pa.binary()))
    with zipfile.ZipFile(tmp_path / "d.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("in/it.jpg", CROP)
    plainly = ("c.parquet", "a picture of a face")  # besides, where the codec leaves the bytes as they are
    assert [w for w in _whats(tmp_path) if w != plainly] == [
        ("a.jpg", "a picture of a face"),
        ("c.parquet", "a picture of a face in column it"),
        ("d.zip", "a picture of a face in what is packed in it"),
    ]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, (1 << 20) + 2000), st.sampled_from([".bin", ".db", ".tmp", ".jpg", ""]), st.booleans())
def test_a_face_at_any_offset_of_any_file(tmp_path_factory: Any, at: int, ending: str, picture: bool) -> None:
    root = tmp_path_factory.mktemp("any")
    what, face = ("a picture of a face", CROP) if picture else ("a face as numbers", VECTOR.tobytes())
    (root / f"it{ending}").write_bytes(bytes(at) + face + b"\xff" * 9)
    (root / "less").write_bytes(bytes(at) + face[:-1] + b"\0\xff")
    assert _whats(root) == [(f"it{ending}", what)]


def test_a_face_that_is_stored_plainly_in_an_archive_member(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("in/it.db", bytes(77) + VECTOR.tobytes() + CROP + bytes(5))
    assert _whats(tmp_path) == [
        ("a.zip", "a face as numbers in what is packed in it"),
        ("a.zip", "a picture of a face in what is packed in it"),
    ]


def test_a_table_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    rows = pa.array([VECTOR.tolist(), (VECTOR + 1).tolist()], pa.list_(pa.float32()))
    for name in (".faces-00004.parquet.12-ab.tmp", "it"):
        _write(tmp_path, name, rows)
    assert [f.path.name for f in _scan(tmp_path).found if f.what.endswith("in column it")] == [
        ".faces-00004.parquet.12-ab.tmp", "it",
    ]  # fmt: skip


def test_a_table_that_is_being_written_is_no_finding_until_it_is_old(tmp_path: Path) -> None:
    path = tmp_path / ".a.parquet.1-a.tmp"
    path.write_bytes(b"PAR1 and more to come")
    assert _whats(tmp_path) == []
    os.utime(path, (1, 1))
    assert _whats(tmp_path) == [(path.name, "it cannot be decoded")]


def test_a_file_known_by_its_digest(tmp_path: Path) -> None:
    (tmp_path / "v.mp4").write_bytes(b"the whole video")
    (tmp_path / "w.mp4").write_bytes(b"the whole video, and more")
    assert _whats(tmp_path) == [("v.mp4", "the file itself")]


def test_a_name_wherever_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"person\n{NAME},1\n")
    (tmp_path / "b.json").write_text(json.dumps({"name": NAME}))
    (tmp_path / "c.db").write_bytes(b"\0\x17abc" + NAME.encode() + b"def\0")
    (tmp_path / f"d {NAME}.txt").write_text("nothing")
    _write(tmp_path, "e.parquet", pa.array(["other", NAME]))
    _write(tmp_path, "f.parquet", pa.array([1]), {"who": NAME})
    book = Workbook()
    book.active.append([NAME])
    book.save(tmp_path / "g.xlsx")
    found = _whats(tmp_path)
    assert {p for p, _ in found} == {
        "a.csv", "b.json", "c.db", "d [name].txt", "e.parquet", "f.parquet", "g.xlsx",
    }  # fmt: skip
    assert not any(NAME in p or NAME in what for p, what in found)


def test_another_name_is_no_finding(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("person\nRoxanne Berg,1\nAnneli,2\n")
    _write(tmp_path, "b.parquet", pa.array(["Roxanne", "Anneli"]))
    (tmp_path / "c.mp4").write_bytes(b"\0\x01 Ann \0" + bytes(100))
    assert _whats(tmp_path, Traces(words=frozenset({"Ann", "anne"}))) == []
    (tmp_path / "a.csv").write_text("person\nRoxanne Berg,1\nAnn,2\n")
    assert _whats(tmp_path, Traces(words=frozenset({"Ann"}))) == [("a.csv", "a word")]


@settings(deadline=None)  # the first call loads libraries
@given(st.integers(0, 2**16), st.binary(max_size=3))
def test_a_word_across_two_blocks_is_found(shift: int, after: bytes) -> None:
    words, block = Words({NAME}), 1 << 16
    data = b"\0" * shift + NAME.encode() + b"\0" + after
    found, tail = False, b""
    for start in range(0, len(data), block):
        part = data[start : start + block]
        found |= words.in_bytes(tail + part, coded=False, first=start == 0, last=start + block >= len(data))
        tail = (tail + part)[-words.reach :]
    assert found


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and no more")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("it.txt", "some text that is there")
    raw = (tmp_path / "b.zip").read_bytes()
    (tmp_path / "b.zip").write_bytes(raw.replace(b"some text", b"other txt"))
    assert _whats(tmp_path) == [("a.parquet", "it cannot be decoded"), ("b.zip", "it cannot be unpacked")]


def test_what_is_skipped_and_links_are_not_followed(tmp_path: Path) -> None:
    for folder in ("in", "out"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt").write_text(NAME)
    (tmp_path / "in" / "b.txt").write_text(NAME)
    (tmp_path / "in" / "c.txt").symlink_to(tmp_path / "out" / "a.txt")
    found = _scan(tmp_path, skip=(tmp_path / "out", tmp_path / "in" / "b.txt"))
    assert (found.files, [f.path.as_posix() for f in found.found]) == (1, ["in/a.txt"])


def test_it_tells_how_far_it_is_and_stops_when_told(tmp_path: Path) -> None:
    for n in range(4):
        (tmp_path / f"{n}.bin").write_bytes(bytes(3 << 20))
    told: list[tuple[int, int]] = []
    whole = scan_files(tmp_path, TRACES, (), lambda *a: told.append(a), lambda: False)
    assert whole == Scan(4, 12 << 20, ())
    assert told[-1] == (12 << 20, 12 << 20)
    assert told == sorted(told)
    assert len(told) > 12
    stopped = scan_files(tmp_path, TRACES, (), lambda *_: None, lambda: len(told) > 0)
    assert (stopped.complete, stopped.files) == (False, 0)


def test_traces_are_joined_and_come_back_from_json() -> None:
    other = Traces(vectors=frozenset({"v"}), words=frozenset({"w"}))
    both = TRACES | other
    assert both.vectors == TRACES.vectors | {"v"}
    assert both.words == {NAME, "w"}
    assert Traces.from_json(json.loads(json.dumps(both.to_json()))) == both
    assert not Traces()
    with pytest.raises(ArtifactError, match="damaged"):
        Traces.from_json({"vectors": []})


def test_vectors_are_hashed_as_they_lie_in_memory() -> None:
    rows = np.arange(12, dtype=np.float32).reshape(3, 4)
    column = pa.array(
        [rows[0].tolist(), None, rows[1].tolist(), rows[2].tolist()], pa.list_(pa.float32())
    ).slice(1)
    assert [hashlib.sha256(v).hexdigest() for v in vectors_of(column)] == [
        hashlib.sha256(r.tobytes()).hexdigest() for r in rows[1:]
    ]
