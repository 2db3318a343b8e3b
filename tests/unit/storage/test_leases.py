"""Locks between nodes: one holder at a time, and none that is dead for long."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.object_store import BUCKET, ObjectStore

from screenalyzer import artifacts, storage
from screenalyzer.errors import StoreError
from screenalyzer.storage import leases
from screenalyzer.storage.leases import Leases
from screenalyzer.storage.store import Store

Node = Callable[[str], Path]

_HOLD = """
import sys, time
from pathlib import Path
from screenalyzer import storage
with storage.held(Path(sys.argv[1])) as mine:
    print(mine, flush=True)
    time.sleep(600)
"""


def test_never_two_at_once(node: Node) -> None:
    inside, most, done = 0, 0, 0
    lock = threading.Lock()
    places = [node(name) / "outputs/s/e" for name in "abcd"]

    def work(place: Path) -> None:
        nonlocal inside, most, done
        for _ in range(2):
            with storage.held(place, wait_s=300) as mine:
                assert mine
                with lock:
                    inside += 1
                    most = max(most, inside)
                time.sleep(0.05)
                with lock:
                    inside -= 1
                    done += 1

    threads = [threading.Thread(target=work, args=(p,)) for p in places]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, done) == (1, 8)


def test_a_dead_holder_is_noticed_at_once_here_and_by_its_age_elsewhere(
    node: Node, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = node("a") / "outputs/s/e", node("b") / "outputs/s/e"
    for place in (here, there):
        with subprocess.Popen(
            [sys.executable, "-c", _HOLD, str(here)], stdout=subprocess.PIPE, text=True
        ) as holder:
            assert holder.stdout
            assert holder.stdout.readline() == "True\n"
            with storage.held(place) as mine:
                assert not mine
            holder.kill()
        if place == there:
            with storage.held(there) as mine:
                assert not mine
            monkeypatch.setattr(leases, "LIFE_S", 1.0)
        with storage.held(place, wait_s=30 if place == there else 0) as mine:
            assert mine
    assert not store.client.list_objects_v2(Bucket="screenalyzer").get("Contents")


def test_who_could_not_renew_publishes_nothing_more(
    node: Node, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = node("a")
    with storage.held(here / "outputs/s/e") as mine:
        assert mine
        artifacts.write_bytes(here / "outputs/s/e/a", b"before")
        monkeypatch.setattr(leases, "LIFE_S", 0.0)
        with pytest.raises(StoreError, match="another run may have taken over"):
            artifacts.write_bytes(here / "outputs/s/e/b", b"after")
    assert store.keys("root") == {"outputs/s/e/a"}


class _Line(Store):
    """A node's way to the store, on which writes are refused while it is cut, or held up."""

    def __init__(self, *, refuses: bool) -> None:
        super().__init__(f"s3://{BUCKET}/root")
        self.is_open, self._refuses = threading.Event(), refuses
        self.is_open.set()

    def put_bytes(self, data: bytes, key: str) -> None:
        if self._refuses and not self.is_open.is_set():
            raise StoreError("the line is cut")
        self.is_open.wait()
        super().put_bytes(data, key)


@pytest.fixture
def line(request: pytest.FixtureRequest) -> Iterator[_Line]:
    """The line of one node; `refuses` is the test's parameter."""
    made = _Line(refuses=request.param)
    yield made
    made.is_open.set()


@pytest.mark.parametrize("line", [True, False], ids=["refused", "held up"], indirect=True)
def test_who_comes_back_after_another_took_over_has_lost_for_good(
    line: _Line, store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LIFE_S", 4.0)
    monkeypatch.setattr(leases, "RENEW_S", 0.3)
    one = Leases(line, "leases", tmp_path / "one")
    other = Leases(Store(f"s3://{BUCKET}/root"), "leases", tmp_path / "other")
    with one.held("outputs/s/e") as mine:
        assert mine
        one.check()
        line.is_open.clear()
        with other.held("outputs/s/e", wait_s=60) as theirs:
            assert theirs
            line.is_open.set()
            time.sleep(2)  # some rounds of renewing
            with pytest.raises(StoreError, match="another run may have taken over"):
                one.check()
            assert len(store.client.list_objects_v2(Bucket=BUCKET, Prefix="root/leases")["Contents"]) == 1
    with one.held("outputs/s/e") as mine:
        assert mine
        one.check()
