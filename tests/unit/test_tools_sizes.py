import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "sizes.py"


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text("ignored/\n")
    return tmp_path


def _run(repo: Path) -> tuple[int, str]:
    done = subprocess.run([sys.executable, str(TOOL), str(repo)], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


def _function(lines: int, docstring: int = 0) -> str:
    doc = ['    """' + "words\n" * (docstring - 1) + '    """'] if docstring else []
    return "\n".join(["def f():", *doc, *["    x = 1"] * (lines - 1)]) + "\n"


def test_what_is_just_small_enough_passes(repo: Path) -> None:
    (repo / "a.py").write_text(_function(60, docstring=30) + "y = 1\n" * 310)
    assert len((repo / "a.py").read_text().splitlines()) == 400
    assert _run(repo) == (0, "sizes: 1 files, 0 too large\n")


def test_a_long_function_and_a_long_file_are_named(repo: Path) -> None:
    (repo / "a.py").write_text("\n" + _function(61))
    (repo / "b.py").write_text("y = 1\n" * 401)
    subprocess.run(["git", "-C", str(repo), "add", "b.py"], check=True)  # tracked and untracked alike
    code, said = _run(repo)
    assert code == 1
    assert "a.py:2: f has 61 lines" in said
    assert "b.py: 401 lines" in said


def test_methods_and_async_functions_count(repo: Path) -> None:
    body = _function(61).replace("def f", "async def f").replace("\n", "\n    ")
    (repo / "a.py").write_text("class C:\n    " + body.rstrip() + "\n")
    assert _run(repo)[0] == 1


def test_ignored_and_deleted_files_do_not_count(repo: Path) -> None:
    (repo / "ignored").mkdir()
    (repo / "ignored" / "a.py").write_text("y = 1\n" * 500)
    (repo / "gone.py").write_text("y = 1\n" * 500)
    subprocess.run(["git", "-C", str(repo), "add", "gone.py"], check=True)
    (repo / "gone.py").unlink()
    assert _run(repo) == (0, "sizes: 0 files, 0 too large\n")
