"""Fixtures that build something once for all tests of a session; a pytest plugin."""

from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.object_store import ObjectStore
    from support.processed import Machine

    from screenalyzer.artifacts import EpisodePaths
    from screenalyzer.demo import DemoEpisode

# ruff: noqa: PLC0415 - torch and Ray take seconds to import, and most tests need neither


@pytest.fixture(scope="session")
def short_season(tmp_path_factory: pytest.TempPathFactory) -> "list[DemoEpisode]":
    """Three short episodes of synthetic people whose truth is known."""
    return _season(tmp_path_factory.mktemp("short-season"), 12)


@pytest.fixture(scope="session")
def longer(tmp_path_factory: pytest.TempPathFactory) -> "DemoEpisode":
    """One that a fast machine, too, is far from through with at the first checkpoint."""
    return _season(tmp_path_factory.mktemp("longer"), 36)[0]


def _season(folder: "Path", seconds: float) -> "list[DemoEpisode]":
    from screenalyzer.demo import DemoFormat, build_season

    if find_spec("openpeople") is None:
        pytest.skip("the package openpeople (extra 'demo') is not installed")
    return build_season(folder, form=DemoFormat(640, 360, seconds))


@pytest.fixture(scope="session")
def machine() -> "Machine":
    """The real models in this process, and settings that make many chunks of a short clip."""
    import torch
    from support.processed import Machine

    from screenalyzer.faces.dlib_embedder import DlibEmbedder
    from screenalyzer.faces.mtcnn import MTCNN
    from screenalyzer.settings import Settings

    torch.set_num_threads(1)
    settings = Settings.model_validate({"video": {"chunk_s": 1}, "embed": {"embedder": "dlib"}})
    return Machine(settings, MTCNN(settings.detect, "cpu"), DlibEmbedder("cpu"))


@pytest.fixture(scope="session")
def processed(
    short_season: "list[DemoEpisode]", machine: "Machine", tmp_path_factory: pytest.TempPathFactory
) -> "EpisodePaths":
    """The first of them after the whole main job, for tests that only read, or copy its data root."""
    from screenalyzer.artifacts import EpisodePaths

    paths = EpisodePaths(tmp_path_factory.mktemp("processed"), "My-Show", "s01e01")
    machine.process(short_season[0].video, paths)
    return paths


@pytest.fixture(scope="session")
def s3_server() -> "Iterator[ObjectStore]":
    """One S3 server for all tests: clients remember where they found it."""
    from support.object_store import object_store

    with object_store() as found:
        yield found


@pytest.fixture
def s3(s3_server: "ObjectStore") -> "ObjectStore":
    """An S3 server with an empty bucket."""
    s3_server.clear()
    return s3_server
