"""The commands that need no cluster, as a user runs them: a process, its output and its exit code."""

import csv
import hashlib
import io
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import cv2
import pytest
from openpyxl import load_workbook
from typer.main import get_command

from screenalyzer import __version__
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.results import EpisodeFacts, read_totals
from services.cli.main import app, main

Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]


def _clean(environment: dict[str, str]) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("SCREENALYZER_")}
    return {**inherited, "COLUMNS": "120", **environment}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """The program's own entry point in this process, since an import a call would take seconds."""

    def run(*words: object, **environment: str) -> Done:
        stdout, stderr, code = io.StringIO(), io.StringIO(), 0
        monkeypatch.setattr(os, "environ", _clean(environment))
        monkeypatch.setattr(sys, "argv", ["screenalyzer", *map(str, words)])
        with warnings.catch_warnings(), redirect_stdout(stdout), redirect_stderr(stderr):
            try:
                main()
            except SystemExit as e:
                code = int(e.code or 0)
        return Done([], code, stdout.getvalue(), stderr.getvalue())

    return run


@pytest.fixture
def process() -> Run:
    """The program as a process of its own."""

    def process(*words: object, **environment: str) -> Done:
        command = [sys.executable, "-m", "services.cli.main", *map(str, words)]
        return subprocess.run(
            command, env=_clean(environment), capture_output=True, text=True, check=False, timeout=120
        )

    return process


@pytest.fixture
def root(processed: EpisodePaths, tmp_path: Path) -> Path:
    """A data root of the test's own, with one processed episode."""
    return Path(shutil.copytree(processed.root, tmp_path / "root"))


def _one_line(done: Done, code: int) -> str:
    """The one line that says what is wrong."""
    assert done.returncode == code
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    return lines[0]


def test_totals_show_every_person(process: Run, processed: EpisodePaths) -> None:
    done = process("totals", "My-Show/s01e01", "--data-root", processed.root)
    assert (done.returncode, done.stderr) == (0, "")
    assert "My-Show/s01e01, 0:12" in done.stdout
    rows = read_totals(processed)
    assert rows
    for t in rows:
        line = next(x for x in done.stdout.splitlines() if x.startswith(t.person))
        assert f"{t.total_ms / 1000:.1f} s" in line
        assert f"{t.percent:.1f} %" in line


def test_totals_as_json(run: Run, processed: EpisodePaths) -> None:
    done = run("totals", "s01e01", "--json", SCREENALYZER_DATA_ROOT=str(processed.root))
    assert done.returncode == 0
    found = json.loads(done.stdout)
    facts = EpisodeFacts.load(processed)
    assert (found["show"], found["episode"], found["duration_ms"]) == ("My-Show", "s01e01", facts.duration_ms)
    assert found["rules"]["version"] == 1
    assert [(t["person"], t["total_ms"]) for t in found["totals"]] == [
        (t.person, t.total_ms) for t in read_totals(processed)
    ]


def test_an_episode_is_found_by_the_names_it_was_given(run: Run, processed: EpisodePaths) -> None:
    assert run("totals", "My Show/s01e01", "--data-root", processed.root).returncode == 0


@pytest.mark.parametrize("name", ["nope", "My-Show/nope", "other/s01e01", "../..", "/etc"])
def test_an_unknown_episode_is_one_line_that_names_the_known(
    run: Run, processed: EpisodePaths, name: str
) -> None:
    line = _one_line(run("totals", name, "--data-root", processed.root), 1)
    assert name in line
    assert "My-Show/s01e01" in line


def test_an_empty_data_root(run: Run, tmp_path: Path) -> None:
    assert "none yet" in _one_line(run("totals", "e", "--data-root", tmp_path / "none"), 1)


def test_a_name_that_two_shows_have(run: Run, root: Path) -> None:
    for kind in ("outputs", "harvest"):
        shutil.copytree(root / kind / "My-Show", root / kind / "Other")
    line = _one_line(run("totals", "s01e01", "--data-root", root), 1)
    assert "My-Show/s01e01, Other/s01e01" in line
    assert run("totals", "Other/s01e01", "--data-root", root).returncode == 0


def test_an_episode_that_is_not_finished(run: Run, root: Path) -> None:
    EpisodePaths(root, "My-Show", "s01e01").totals_parquet.unlink()
    assert "Process the episode" in _one_line(run("totals", "s01e01", "--data-root", root), 1)


@pytest.mark.parametrize("command", ["totals", "export", "plot"])
def test_results_of_an_episode_that_is_not_finished_are_not_shown(run: Run, root: Path, command: str) -> None:
    EpisodePaths(root, "My-Show", "s01e01").marker("analytics").unlink()
    line = _one_line(run(command, "s01e01", "--data-root", root), 1)
    assert "episode My-Show/s01e01 is not finished: run `screenalyzer process` on it again." in line


def test_a_file_that_was_refused_is_not_among_the_known(run: Run, root: Path) -> None:
    log = EpisodePaths(root, "My-Show", "garbage").audit
    log.parent.mkdir(parents=True)
    (log.parent / "run.lock").touch()
    line = _one_line(run("totals", "nope", "--data-root", root), 1)
    assert "Known: My-Show/s01e01. " in line
    assert "Known: My-Show/s01e01. " in _one_line(run("totals", "garbage", "--data-root", root), 1)


def test_export_csv(run: Run, root: Path) -> None:
    done = run("export", "s01e01", "--format", "csv", "--data-root", root)
    assert (done.returncode, done.stderr) == (0, "")
    files = [Path(line) for line in done.stdout.splitlines()]
    assert files
    assert all(f.is_file() and root in f.parents for f in files)
    assert [f.name.removeprefix("s01e01") for f in files] == ["-totals.csv", "-timeline.csv", ".rules.json"]
    text = "".join(f.read_text(encoding="utf-8-sig") for f in files)
    for t in read_totals(EpisodePaths(root, "My-Show", "s01e01")):
        assert t.person in text
    assert all(list(csv.reader(f.read_text(encoding="utf-8-sig").splitlines())) for f in files[:2])
    assert json.loads(files[2].read_text())


def test_export_xlsx_to_a_place(run: Run, processed: EpisodePaths, tmp_path: Path) -> None:
    target = tmp_path / "for the studio" / "pay.xlsx"
    done = run("export", "s01e01", "-o", target, "--json", "--data-root", processed.root)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [str(target)]
    cells = {c.value for sheet in load_workbook(target) for row in sheet for c in row}
    assert {t.person for t in read_totals(processed)} <= cells


@pytest.mark.parametrize(("command", "target"), [("export", "pay.pdf"), ("plot", "line.pdf")])
def test_a_target_of_another_kind_is_one_line(
    run: Run, processed: EpisodePaths, tmp_path: Path, command: str, target: str
) -> None:
    done = run(command, "s01e01", "-o", tmp_path / target, "--data-root", processed.root)
    assert target in _one_line(done, 1)
    assert not (tmp_path / target).exists()


def test_a_target_that_cannot_be_written_is_one_line(
    run: Run, processed: EpisodePaths, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    for command, name in (("export", "a.xlsx"), ("plot", "a.png")):
        done = run(command, "s01e01", "-o", tmp_path / "file" / name, "--data-root", processed.root)
        assert "file" in _one_line(done, 1)


def test_plots_differ_by_theme_and_are_real_pictures(run: Run, root: Path, tmp_path: Path) -> None:
    done = run("plot", "s01e01", "--data-root", root)
    light, dark = Path(done.stdout.strip()), tmp_path / "dark.png"
    assert light == root / "outputs" / "My-Show" / "s01e01" / "exports" / "s01e01-timeline.png"
    assert run("plot", "s01e01", "-o", dark, "--theme", "dark", "--data-root", root).returncode == 0
    means = [float(cv2.imread(str(p)).mean()) for p in (light, dark)]
    assert means[0] > 150
    assert means[1] < 80
    assert _is_whole_png(light)


def test_plot_as_svg(run: Run, processed: EpisodePaths, tmp_path: Path) -> None:
    done = run("plot", "s01e01", "-o", tmp_path / "a.svg", "--data-root", processed.root)
    assert done.returncode == 0, done.stderr
    assert "<svg" in (tmp_path / "a.svg").read_text()


def _is_whole_png(path: Path) -> bool:
    data, at = path.read_bytes(), 8
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 4 : at + 8 + size]
        assert zlib.crc32(body) == struct.unpack(">I", data[at + 8 + size : at + 12 + size])[0]
        at += 12 + size
        if kind == b"IEND":
            return at == len(data)
    return False


def test_models_name_the_digest_of_the_file_that_is_there(run: Run) -> None:
    done = run("models", "--json", SCREENALYZER_EMBED__OFFLINE="1")
    assert done.returncode == 0, done.stderr
    here = [m for m in json.loads(done.stdout) if m["sha256"]]
    assert len(here) >= 5
    for m in here:
        assert hashlib.sha256(Path(m["path"]).read_bytes()).hexdigest() == m["sha256"] == m["expected_sha256"]
        assert m["licence"]
        assert m["source"]


def test_models_for_people(run: Run, tmp_path: Path) -> None:
    done = run("models", SCREENALYZER_EMBED__CACHE_DIR=str(tmp_path))
    assert done.returncode == 0
    assert "pnet.pt" in done.stdout
    assert "not here" in done.stdout  # facenet's, which an empty cache cannot hold
    assert re.search(r"licence\s+public domain", done.stdout)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("SCREENALYZER_VIDEO__SAMPLE_FPS", "0", "greater than 0"),
        ("SCREENALYZER_VIDEO__SAMPLE_FPS", "many", "valid number"),
        ("SCREENALYZER_VIDEO__NO_SUCH", "1", "not permitted"),
        ("SCREENALYZER_VIDEO", "fast", "JSON"),
        ("SCREENALYZER_DETECT__THRESHOLDS", "[0.6", "JSON"),
    ],
)
def test_a_setting_that_cannot_be_is_one_line_that_names_it(
    run: Run, name: str, value: str, says: str
) -> None:
    line = _one_line(run("models", **{name: value}), 1)
    assert name in line
    assert says in line


def test_a_bad_setting_stops_the_main_job_before_it_begins(run: Run, tmp_path: Path) -> None:
    done = run(
        "process", "a.mp4", "--show", "s", "--data-root", tmp_path / "r", SCREENALYZER_VIDEO__SAMPLE_FPS="0"
    )
    assert "SCREENALYZER_VIDEO__SAMPLE_FPS" in _one_line(done, 1)
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("nope",),
        ("totals",),
        ("totals", "a", "b"),
        ("totals", "a", "--nope"),
        ("export", "a", "--format", "pdf"),
        ("plot", "a", "--theme", "blue"),
        ("process", "a.mp4"),
        ("process", "--show", "s"),
        ("process", "a.mp4", "--show", "s", "--fps", "0"),
        ("process", "a.mp4", "--show", "s", "--device", "tpu"),
    ],
)
def test_wrong_usage_is_exit_2(run: Run, words: tuple[str, ...]) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert "Usage" in done.stderr


@pytest.mark.parametrize("words", [(("___.mp4",), "show"), (("x.mp4",), "///")])
def test_names_that_cannot_be_are_one_line(
    run: Run, words: tuple[tuple[str, ...], str], tmp_path: Path
) -> None:
    videos, show = words
    done = run("process", *videos, "--show", show, "--data-root", tmp_path / "r")
    assert "Rename" in _one_line(done, 1)


def test_a_process_ends_with_the_same_line_and_code(process: Run) -> None:
    assert "SCREENALYZER_VIDEO" in _one_line(process("models", SCREENALYZER_VIDEO__SAMPLE_FPS="0"), 1)


def test_version(process: Run) -> None:
    done = process("--version")
    assert (done.returncode, done.stdout.strip()) == (0, __version__)


def test_every_command_explains_every_option(run: Run) -> None:
    group = get_command(app)
    commands = group.commands  # type: ignore[attr-defined]
    assert {"process", "totals", "export", "plot", "models", "doctor", "demo"} <= set(commands)
    listed = run("--help")
    assert listed.returncode == 0
    for name, command in commands.items():
        assert name in listed.stdout
        assert command.help
        done = run(name, "-h")
        assert done.returncode == 0
        for parameter in command.params:
            if parameter.param_type_name == "option":
                assert all(o in done.stdout for o in parameter.opts), f"{name}: {parameter.opts}"
                assert parameter.help, f"{name}: {parameter.opts} is not explained"
