"""A video that breaks the process that reads it: a crash, or a decoder that never comes back."""

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.processed import Machine

from pipelines.episode import Job
from pipelines.harvest import harvest
from pipelines.inference import TRIES, ReadSegment
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.demo import DemoEpisode

_HANGS = """
import itertools
from screenalyzer.video.watchdog import Watchdog
dog = Watchdog(0.5)
with dog:
    for _ in range(20):
        dog.feed()
        sum(range(1_000_000))
with dog:
    sum(itertools.repeat(0))  # in C, and it never lets go of Python's lock
"""

_RESTS = """
import time
from screenalyzer.video.watchdog import Watchdog
with Watchdog(0.2):
    pass
time.sleep(0.6)
"""


def _end_of(program: str) -> int:
    return subprocess.run([sys.executable, "-c", program], timeout=120, check=False).returncode


def test_a_decoder_that_hangs_ends_its_process() -> None:
    assert _end_of(_HANGS) == -signal.SIGALRM


def test_nobody_is_ended_who_does_not_decode() -> None:
    assert _end_of(_RESTS) == 0


def test_a_segment_whose_reader_keeps_dying_is_given_up_with_a_reason(
    machine: Machine, short_season: list[DemoEpisode], tmp_path: Path
) -> None:
    paths, begun = EpisodePaths(tmp_path, "t", "poison"), Counter[str]()
    harvest(Job(short_season[0].video, paths), machine.settings)

    def begin(what: str) -> int:
        begun[what] += 1
        return begun[what]

    def die() -> Any:
        raise KeyboardInterrupt  # as good as a signal: the operator does not catch it

    reader = ReadSegment(tmp_path, machine.settings, machine.embedder.id, die, lambda *_: None, begin)
    row = {k: np.array([v]) for k, v in {"show": "t", "episode": "poison", "segment": 0}.items()}
    for _ in range(TRIES):
        with pytest.raises(KeyboardInterrupt):
            list(reader(row))
    (told,) = [str(columns["error"][0]) for columns in reader(row)]
    assert told.startswith(f"t/poison: the process that reads it died {TRIES} times in a row after 0 s")
    assert "convert the video" in told
