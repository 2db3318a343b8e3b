"""What all tests share."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("patient", deadline=None)  # a busy machine is no failure
settings.load_profile("patient")

pytest_plugins = [
    "support.fixtures", "support.databases", "support.redis_server", "support.lasting", "support.service",
    "support.desk", "support.browser", "support.at_review",
]  # fmt: skip

_REPO = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def eval_dir() -> Path:
    """Folder of the evaluation material, which is kept outside the project: beside its checkout, or named."""
    named = os.environ.get("SCREENALYZER_EVAL")
    candidates = [Path(named)] if named else [p.parent for p in _REPO.parent.glob("*/eval/score.py")]
    for folder in candidates:
        if (folder / "season").is_dir():
            return folder
    pytest.skip("the evaluation material is not on this machine (set SCREENALYZER_EVAL to its folder)")
