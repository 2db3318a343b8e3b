"""What a client says of a file: read strictly, and no name from it ever leads anywhere on disk."""

from base64 import b64encode
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tus_server import encode

from services.api.problems import ApiError
from services.uploads.metadata import Wish, read_metadata, stored_name
from services.uploads.tus import Checksum, read_checksum

SURROGATE = "a\ud800b".encode(errors="surrogatepass")


def wish(**metadata: str | bytes) -> Wish:
    return read_metadata(encode({"filename": "s01e01.mp4", "show": "My Show", **metadata}))


def refused(header: str | None) -> str:
    with pytest.raises(ApiError) as caught:
        read_metadata(header)
    assert caught.value.status in {422, 431}
    assert caught.value.detail.isprintable()
    return caught.value.detail


def test_a_file_name_and_a_show_are_enough() -> None:
    found = wish()
    assert found == Wish("s01e01.mp4", "My Show", "s01e01", False, {})
    assert (found.show_name, found.episode_name) == ("My-Show", "s01e01")


def test_everything_that_can_be_said() -> None:
    settings = '{"video": {"sample_fps": 2}, "rules": {"fuse_gap_ms": 1500}, "shots": {}}'
    found = wish(
        filename="Folge 1 – Größe.MKV",
        show="Law/Order",
        episode="1. Anfang",
        replace="TRUE",
        settings=settings,
    )
    assert found.file_name == "Folge 1 – Größe.MKV"
    assert (found.show_name, found.episode_name, found.replace) == ("Law-Order", "1.-Anfang", True)
    assert found.settings == {"video": {"sample_fps": 2.0}, "rules": {"fuse_gap_ms": 1500}}


def test_keys_of_other_programs_are_left_alone() -> None:
    assert wish(filetype="video/mp4", relativePath=b"\xff\x00", name="..").file_name == "s01e01.mp4"
    assert read_metadata(f"is_confidential,{encode({'filename': 'a.mp4', 'show': 'b'})}, ").show == "b"


@pytest.mark.parametrize("missing", [None, "", ",", "filename", encode({"filename": "a.mp4"})])
def test_what_is_missing_is_named(missing: str | None) -> None:
    assert "is missing" in refused(missing) or "without folders" in refused(missing)


@pytest.mark.parametrize("key", ["filename", "show", "episode"])
@pytest.mark.parametrize(
    "value",
    [
        "../../etc/passwd", "..", ".", "a/../../b", "..\\..\\windows", "a\\..\\b", "/../x", "x/./y",
        "a\x00b", "\x00", "a\nb", "a\rb", "a\x1b[31m", "a\x7fb", "a\x85b", "a\u2028b",
        "a\u202egpm.exe", "a\u2066b\u2069", SURROGATE, b"\xff\xfe", b"\xc0\xaf", b"\xed\xa0\x80", b"a\xf5",
        "x" * 10_000, "字" * 121, " ", "-", "...",
    ],
)  # fmt: skip
def test_names_that_could_do_harm_are_refused(key: str, value: str | bytes) -> None:
    refused(encode({"filename": "a.mp4", "show": "b", key: value}))


@pytest.mark.parametrize("name", ["a/b.mp4", "/etc/passwd", "C:\\video.mp4", "x/", "é" * 128 + ".mp4"])
def test_a_file_name_has_no_folders_and_is_not_endless(name: str) -> None:
    refused(encode({"filename": name, "show": "b", "episode": "c"}))


@pytest.mark.parametrize(
    "value",
    ["!!!", "YQ", "YQ=", "YR==", "Y Q==", "YQ==YQ==", "YQ==\t", "_-__", "é===", "YQ==="],
)
def test_base64_has_one_form(value: str) -> None:
    refused(f"filename {value},show {b64encode(b'b').decode()}")


def test_a_key_comes_once_and_is_a_word() -> None:
    refused(encode({"filename": "a.mp4", "show": "b"}) + "," + encode({"show": "c"}))
    refused("ключ YQ==")
    assert len(refused("x" * 5000 + " !")) < 300


def test_a_header_is_not_endless() -> None:
    assert "Shorten" in refused(encode({"filename": "a.mp4", "show": "b", "notes": "x" * 8000}))
    refused("a," * 20_000)


@pytest.mark.parametrize(
    "settings",
    [
        "{", "[]", "1", '"video"', "[" * 3000, '{"video": []}', '{"video": {"sample_fps": 0}}',
        '{"video": {"sample_fps": NaN}}', '{"shots": {"min_change": 1e999}}', '{"ray": {"num_cpus": 2}}',
        '{"detect": {"min_face_px": 12}}', '{"embed": {"embedder": "onnx:/etc/passwd"}}',
        '{"shots": {"min_shot_ms": 1' + "0" * 400 + "}}", '{"shots": {"min_shot_ms": 1' + "0" * 4500 + "}}",
        '{"vid\\ud800eo": {}}', '{"vidéo": {}}', '{"video": {"unknown": 1}}',
        '{"cluster": {"backend": "tpu"}}', '{"rules": {"version": 2}}',
    ],
)  # fmt: skip
def test_settings_are_checked_as_those_of_the_service(settings: str) -> None:
    assert "settings" in refused(encode({"filename": "a.mp4", "show": "b", "settings": settings}))


@pytest.mark.parametrize("value", ["yes", "1", "true ", "wahr"])
def test_replace_is_a_switch(value: str) -> None:
    refused(encode({"filename": "a.mp4", "show": "b", "replace": value}))


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("s01e01.mp4", "s01e01.mp4"),
        ("Folge 1: Größe.MKV", "Folge-1-Größe.MKV"),
        ("a.b.c.ts", "a.b.c.ts"),
        ("x.mp4 (copy)", "x"),
        ("x.averyveryverylongsuffix", "x"),
        ("???.mov", "video.mov"),
        ("y" * 200 + ".mp4", "video.mp4"),
        (".mp4", "mp4"),
        ("..", "video"),
    ],
)
def test_the_name_on_disk_is_safe_and_keeps_its_suffix(name: str, stored: str) -> None:
    assert stored_name(name) == stored


@given(st.text(max_size=300))
def test_any_name_stays_in_its_folder(name: str) -> None:
    path = Path("/videos") / stored_name(name)
    assert path.parent == Path("/videos")
    assert path.name not in {"", ".", ".."}
    assert len(path.name.encode()) <= 255


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda t: t.encode(errors="replace")))
def test_any_header_is_read_or_refused(raw: bytes) -> None:
    header = raw.decode("latin-1")
    for text in (header, f"filename {header}", encode({"filename": raw, "show": raw, "settings": raw})):
        with suppress(ApiError):
            assert stored_name(read_metadata(text).file_name)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "sha1",
        "sha1 ",
        "sha1 !!",
        "SHA1 AAAA",
        "crc32 AAAA",
        "sha1 AAAA",
        "sha256 " + "A" * 28,
        "shake_128 AA==",
    ],
)
def test_checksums_that_cannot_be_held_against_anything(header: str) -> None:
    with pytest.raises(ApiError) as caught:
        read_checksum(header)
    assert caught.value.status == 400


def test_checksums() -> None:
    assert read_checksum(None) is None
    assert read_checksum("md5 " + b64encode(b"x" * 16).decode()) == Checksum("md5", b"x" * 16)
