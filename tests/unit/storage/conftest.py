"""A store for each test, and nodes that have it as their data root."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.object_store import BUCKET, ObjectStore

from screenalyzer import storage


@pytest.fixture
def store(s3: ObjectStore) -> ObjectStore:
    """The server with an empty bucket."""
    return s3


@pytest.fixture
def node(s3: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """The working folder of a node, by its name; all mirror s3://screenalyzer/root."""

    def on(name: str) -> Path:
        monkeypatch.setenv("SCREENALYZER_WORK_DIR", str(tmp_path / name))
        return storage.working_folder(f"s3://{BUCKET}/root")

    return on
