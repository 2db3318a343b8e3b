import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from screenalyzer.settings import EmbedSettings, Settings, VideoSettings

GROUPS = {n: f.annotation for n, f in Settings.model_fields.items()}


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("SCREENALYZER_"):
            monkeypatch.delenv(name)


def test_the_environment_sets_one_field_and_leaves_its_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCREENALYZER_VIDEO__SAMPLE_FPS", "2")
    monkeypatch.setenv("SCREENALYZER_EMBED__CACHE_DIR", "/films/cache")
    monkeypatch.setenv("SCREENALYZER_DETECT__THRESHOLDS", "[0.5, 0.6, 0.7]")
    found = Settings()
    assert found.video == VideoSettings(sample_fps=2.0)
    assert found.embed.cache_dir == Path("/films/cache")
    assert found.detect.thresholds == (0.5, 0.6, 0.7)


def test_an_argument_overrules_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCREENALYZER_VIDEO__SAMPLE_FPS", "2")
    monkeypatch.setenv("SCREENALYZER_VIDEO__CHUNK_S", "7")
    found = Settings.model_validate({"video": {"sample_fps": 3}})
    assert (found.video.sample_fps, found.video.chunk_s) == (3.0, 7.0)


def test_other_variables_of_the_program_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCREENALYZER_DATA_ROOT", "/films")
    monkeypatch.setenv("SCREENALYZER_EVAL", "/eval")
    assert Settings() == Settings.model_validate({})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VIDEO__SAMPLE_FPS", "0"),
        ("VIDEO__SAMPLE_FPS", "many"),
        ("VIDEO__CHUNK_S", "0.5"),
        ("VIDEO__NO_SUCH", "1"),
        ("RAY__NUM_CPUS", "1"),
        ("RAY__DEVICE", "tpu"),
        ("RULES__VERSION", "2"),
        ("TRACK__MIN_STITCH_SCORE", "1"),
    ],
)
def test_values_that_cannot_be_are_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"SCREENALYZER_{name}", value)
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert [str(p).upper() for p in caught.value.errors()[0]["loc"]] == name.split("__")


@pytest.mark.parametrize("group", GROUPS)
def test_a_slice_is_immutable_and_closed(group: str) -> None:
    kind = GROUPS[group]
    assert isinstance(kind, type)
    assert issubclass(kind, BaseModel)
    assert (kind.model_config["frozen"], kind.model_config["extra"]) == (True, "forbid")
    with pytest.raises(ValidationError, match="frozen"):
        setattr(getattr(Settings(), group), next(iter(kind.model_fields)), 1)


def test_defaults_survive_a_round_trip() -> None:
    assert Settings.model_validate_json(Settings().model_dump_json()) == Settings()


def test_a_user_without_a_home_has_a_cache() -> None:
    """As in a container that runs as `--user 12345`: no HOME, and no entry in passwd."""
    code = (
        "import os, pwd; from screenalyzer.settings import EmbedSettings\n"  # before others cannot read it
        "os.environ.pop('HOME', None); os.setuid(12345); print(EmbedSettings().cache_dir)\n"
    )
    if os.getuid() != 0:
        pytest.skip("only root can become a user without a home")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(Path(tempfile.gettempdir()) / "screenalyzer-cache")


def test_the_cache_is_in_the_home_where_there_is_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert EmbedSettings().cache_dir == tmp_path / ".cache" / "screenalyzer"


def test_the_rules_are_the_written_ones() -> None:
    rules = Settings().rules
    assert (rules.version, rules.fuse_gap_ms, rules.min_interval_ms) == (1, 2000, 500)
    assert (rules.partial_min_conf, rules.partial_min_ms) == (0.7, 1000)
    assert Settings().video.sample_fps == 5.0
