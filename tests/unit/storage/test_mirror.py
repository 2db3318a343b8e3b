"""A working folder that mirrors a real S3 server."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support.object_store import ObjectStore

from screenalyzer import artifacts, storage
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.errors import SettingsError, StoreError
from screenalyzer.storage import Selection

Node = Callable[[str], Path]


def test_what_is_written_is_in_the_store_and_reaches_another_node(node: Node, store: ObjectStore) -> None:
    here, there = node("a"), node("b")
    artifacts.write_bytes(here / "outputs/s/e/tracks.json", b"one")
    assert store.objects("root") == {"outputs/s/e/tracks.json": b"one"}
    storage.pull(Selection(there / "outputs/s/e"))
    assert (there / "outputs/s/e/tracks.json").read_bytes() == b"one"


def test_a_pull_fetches_only_what_differs(node: Node, store: ObjectStore) -> None:
    here, there = node("a"), node("b")
    for name in "xyz":
        artifacts.write_bytes(here / "outputs/s/e" / name, name.encode())
    storage.pull(Selection(here / "outputs/s/e"))
    storage.pull(Selection(there / "outputs/s/e"))
    artifacts.write_bytes(here / "outputs/s/e/y", b"Y")  # as long as before, within the same second
    storage.remove(here / "outputs/s/e/z")
    store.requests.clear()
    storage.pull(Selection(there / "outputs/s/e"))
    got = [p for m, p in store.requests if m == "GET" and "list-type" not in p]
    assert [p.split("?")[0] for p in got] == ["/screenalyzer/root/outputs/s/e/y"]
    assert {p.name: p.read_bytes() for p in (there / "outputs/s/e").iterdir()} == {"x": b"x", "y": b"Y"}
    store.requests.clear()
    storage.pull(Selection(there / "outputs/s/e"))
    storage.pull(Selection(here / "outputs/s/e"))
    assert all("list-type" in p for _, p in store.requests)
    assert len(store.requests) == 2


def test_a_large_file_goes_in_parts(node: Node, store: ObjectStore) -> None:
    here, there = node("a"), node("b")
    data = os.urandom(40 << 20)
    artifacts.write_bytes(here / "videos/d/film.mp4", data)
    assert any("partNumber" in p for _, p in store.requests)
    assert storage.look(there / "videos/d/film.mp4") is not None
    assert not (there / "videos/d/film.mp4").exists()
    assert storage.need(there / "videos/d/film.mp4")
    assert (there / "videos/d/film.mp4").read_bytes() == data
    store.requests.clear()
    assert storage.need(there / "videos/d/film.mp4")
    assert storage.need(here / "videos/d/film.mp4")
    assert {m for m, _ in store.requests} == {"HEAD"}


def test_a_store_that_is_away_is_said_and_loses_nothing(node: Node, store: ObjectStore) -> None:
    here = node("a")
    path = here / "outputs/s/e/tracks.json"
    artifacts.write_bytes(path, b"one")
    with store.away():
        with pytest.raises(
            StoreError, match=r"did not let us write s3://screenalyzer/root/outputs/s/e/tracks"
        ):
            artifacts.write_bytes(path, b"two")
        with pytest.raises(StoreError, match="remove"):
            storage.remove(path)
        with pytest.raises(StoreError, match="list"):
            storage.pull(Selection(here / "outputs"))
    assert path.read_bytes() == b"one"
    assert [p.name for p in path.parent.iterdir()] == ["tracks.json"]
    artifacts.write_bytes(path, b"two")
    assert store.objects("root") == {"outputs/s/e/tracks.json": b"two"}


def test_a_plain_folder_asks_nobody(store: ObjectStore, tmp_path: Path) -> None:
    path = tmp_path / "outputs/s/e/tracks.json"
    artifacts.write_bytes(path, b"one")
    with storage.held(path) as mine:
        assert mine
    assert storage.need(path)
    storage.pull(Selection(tmp_path))
    assert [e.size for e in storage.files_below(tmp_path)] == [3]
    storage.remove(path)
    assert not storage.is_there(path)
    assert not store.requests


def test_markers_go_first_and_come_last(node: Node, store: ObjectStore) -> None:
    here, there = node("a"), node("b")
    artifacts.write_bytes(here / "outputs/s/e/tracks.json", b"1")
    artifacts.write_bytes(here / "outputs/s/e/stages/tracking.json", b"{}")
    storage.pull(Selection(there / "outputs/s/e"))
    artifacts.write_bytes(here / "outputs/s/e/tracks.json", b"2")
    artifacts.write_bytes(here / "outputs/s/e/stages/tracking.json", b'{"n": 2}')
    seen: list[tuple[str, bool]] = []
    marker = there / "outputs/s/e/stages/tracking.json"
    store.watch_reads = lambda path: seen.append((path.rsplit("/", 1)[-1], marker.exists()))
    storage.pull(Selection(there / "outputs/s/e"))
    assert seen == [("tracks.json", False), ("tracking.json", False)]
    assert marker.read_bytes() == b'{"n": 2}'


def test_one_node_at_a_time_holds_a_path(node: Node, store: ObjectStore) -> None:
    here, there = node("a"), node("b")
    with storage.held(here / "outputs/s/e") as mine:
        assert mine
        with storage.held(there / "outputs/s/e") as other:
            assert not other
        with storage.held(there / "outputs/s/f") as another:
            assert another
    with storage.held(there / "outputs/s/e") as now:
        assert now
    assert not [o["Key"] for o in store.client.list_objects_v2(Bucket="screenalyzer").get("Contents", ())]


def test_names_that_look_like_patterns_are_names(node: Node, store: ObjectStore) -> None:
    here = node("a")
    names = ["film [1080p].mp4", "film 1.mp4", "film *.mp4"]
    for name in names:
        artifacts.write_bytes(here / "videos/d" / name, name.encode())
    assert store.keys("root") == {f"videos/d/{n}" for n in names}
    storage.remove(here / "videos/d/film *.mp4", here / "videos/d/film [1080p].mp4")
    assert store.keys("root") == {"videos/d/film 1.mp4"}
    for name in names:
        artifacts.write_bytes(here / "videos/d" / name, name.encode())
    storage.remove_tree(here / "videos/d")
    assert not store.keys("root")
    assert not (here / "videos/d").exists()


def test_what_another_node_purged_is_forgotten_with_its_folders(node: Node, store: ObjectStore) -> None:
    here, there = node("a"), node("b")
    paths = EpisodePaths(here, "s", "e")
    with artifacts.locked(paths):
        artifacts.write_json(paths.tracks, {})
    other = EpisodePaths(there, "s", "e")
    with artifacts.locked(other):
        assert other.tracks.exists()
    storage.remove_tree(paths.outputs)
    storage.forget(there)
    assert not (there / "outputs" / "s").exists()
    assert not store.keys("root")


@pytest.mark.parametrize(
    "address",
    ["ftp://x/y", "s3://", "s3://key:secret@bucket/x", "s3://bucket/x?endpoint=y", "s3://b/" + "x" * 300],
)
def test_an_address_that_cannot_be_used_is_refused(address: str) -> None:
    with pytest.raises(SettingsError):
        storage.working_folder(address)


def test_an_address_and_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCREENALYZER_WORK_DIR", str(tmp_path))
    assert storage.working_folder("s3://bucket/a/b/") == tmp_path / "s3%3A%2F%2Fbucket%2Fa%2Fb"
    assert storage.working_folder("file:///srv/my%20data") == Path("/srv/my data")
    assert storage.working_folder("data") == Path("data").absolute()
