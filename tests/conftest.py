"""What all tests share."""

import os
from pathlib import Path

import pytest

pytest_plugins = ["support.fixtures"]

_REPO = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def eval_dir() -> Path:
    """Folder of the evaluation material, which is kept outside the project."""
    folder = Path(os.environ.get("SCREENALYZER_EVAL", _REPO.parent / "shared" / "eval"))
    if not (folder / "season").is_dir():
        pytest.skip("the evaluation material is not on this machine (set SCREENALYZER_EVAL to its folder)")
    return folder
