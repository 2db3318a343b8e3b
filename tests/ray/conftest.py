"""One Ray cluster for all tests of the wiring; programs under test join it through RAY_ADDRESS."""

import os
from pathlib import Path

import pytest
import ray
from ray import serve
from support.lasting import lasting
from support.main_job import artifact_bytes, run
from support.processed import Machine

from pipelines.cluster import cluster
from pipelines.layout import Layout
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.demo import DemoEpisode, DemoFormat, build_season
from screenalyzer.settings import Settings
from services.models import DETECTOR_APP, EMBEDDER_APP, build_detector, build_embedder
from services.serving import deploy, start_serve


@pytest.fixture(scope="session")
def settings() -> Settings:
    """Small chunks, so that a short clip has many checkpoints."""
    return Settings.model_validate({"video": {"chunk_s": 2}, "embed": {"embedder": "dlib", "offline": True}})


@pytest.fixture(scope="session")
def layout(settings: Settings, request: pytest.FixtureRequest) -> Layout:
    """The cluster, with the models deployed under the names that every run looks for."""
    os.environ.pop("RAY_ADDRESS", None)
    held = lasting(request)
    found = held.enter_context(cluster(settings.ray))
    held.callback(serve.shutdown)
    start_serve()
    built = build_detector(settings.detect, found), build_embedder(settings.embed, found)
    deploy(dict(zip((DETECTOR_APP, EMBEDDER_APP), built, strict=True)))
    return found


@pytest.fixture(scope="session")
def environment(layout: Layout) -> dict[str, str]:
    """The environment of a program under test."""
    return {
        **os.environ,
        "RAY_ADDRESS": ray.get_runtime_context().gcs_address,
        "SCREENALYZER_VIDEO__CHUNK_S": "2",
        "SCREENALYZER_EMBED__EMBEDDER": "dlib",
        "SCREENALYZER_EMBED__OFFLINE": "1",
    }


@pytest.fixture(scope="session")
def season(tmp_path_factory: pytest.TempPathFactory) -> list[DemoEpisode]:
    """Three short episodes whose truth is known."""
    return build_season(tmp_path_factory.mktemp("season"), form=DemoFormat(640, 360, 16))


@pytest.fixture(scope="session")
def quiet(
    machine: Machine,
    settings: Settings,
    short_season: list[DemoEpisode],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, bytes]:
    """The artifacts of the first short episode, made in this process, where nothing is lost."""
    root, video = tmp_path_factory.mktemp("quiet"), short_season[0].video
    machine.process(video, EpisodePaths(root, "t", video.stem), settings)
    return artifact_bytes(root)


@pytest.fixture(scope="session")
def quiet_root(
    season: list[DemoEpisode], environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The data root of an undisturbed run over three episodes at once."""
    root = tmp_path_factory.mktemp("quiet")
    done = run([e.video for e in season], root, environment)
    assert done.returncode == 0, done.stderr
    return root
