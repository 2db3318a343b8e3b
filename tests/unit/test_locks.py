"""Locks between processes, also where a holder takes the file or the folder away."""

import multiprocessing
import os
import signal
import threading
from pathlib import Path

import pytest

from screenalyzer.artifacts import EpisodePaths, locked
from screenalyzer.errors import EpisodeBusyError
from screenalyzer.locks import taken


def test_one_holds_it_and_the_next_may_when_it_is_free(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.lock"
    with taken(path) as first, taken(path) as second:
        assert (first, second) == (True, False)
    with taken(path) as third:
        assert third


def test_an_error_in_the_block_frees_it_and_is_not_swallowed(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with pytest.raises(FileNotFoundError), taken(path):
        raise FileNotFoundError
    with taken(path) as mine:
        assert mine


def test_whoever_waits_gets_the_new_file_of_one_that_was_removed(tmp_path: Path) -> None:
    """Else two would hold two files of one name, and each think itself alone."""
    path = tmp_path / "folder" / "a.lock"
    got, free, seen = threading.Event(), threading.Event(), []

    def wait_for_it() -> None:
        with taken(path, wait=True):
            seen.append(path.stat().st_ino)
            got.set()
            free.wait(10)

    waiter = threading.Thread(target=wait_for_it)
    with taken(path):
        waiter.start()
        assert not got.wait(0.3)
        path.unlink()
        path.parent.rmdir()
    assert got.wait(10)
    assert seen == [path.stat().st_ino]
    with taken(path) as mine:
        assert not mine
    free.set()
    waiter.join()


def test_the_lock_of_a_killed_holder_is_free_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    holder = context.Process(target=_hold, args=(path, theirs))
    holder.start()
    assert ours.poll(30)
    with taken(path) as mine:
        assert not mine
    os.kill(holder.pid or 0, signal.SIGKILL)
    holder.join()
    with taken(path) as mine:
        assert mine


def test_an_episode_whose_folder_was_purged_under_its_lock_is_free_again(tmp_path: Path) -> None:
    paths = EpisodePaths(tmp_path, "s", "e")
    with locked(paths):
        with pytest.raises(EpisodeBusyError, match="s/e"), locked(paths):
            pass
        paths.audit.with_name("run.lock").unlink()
        paths.audit.parent.rmdir()
    with locked(paths):
        assert paths.audit.with_name("run.lock").is_file()


def _hold(path: Path, told: object) -> None:
    with taken(path):
        told.send("held")  # type: ignore[attr-defined]
        threading.Event().wait(60)
