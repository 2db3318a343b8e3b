"""What the commands share: how they speak, and how they find an episode."""

import json
import os
import re
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from pydantic import ValidationError
from pydantic_settings import BaseSettings
from pydantic_settings import SettingsError as UnreadableError
from rich.console import Console

from pipelines.stage import STAGE_NAMES
from screenalyzer import artifacts, storage
from screenalyzer.artifacts import EpisodePaths, clean_name
from screenalyzer.errors import ArtifactError, EpisodeNameError, SettingsError
from screenalyzer.settings import Settings
from screenalyzer.storage import working_folder

_Settings = TypeVar("_Settings", bound=BaseSettings)
_PLAIN = {"DATABASE_URL", "REDIS_URL"}  # known by these names to other programs too

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def _data_root(given: str | Path) -> Path:
    """A folder as it was given, or the working folder of a root in an object store."""
    if "://" in str(given):
        return working_folder(given)
    if Path(given).is_file():
        raise typer.BadParameter(f"{given} is a file; the data root is a folder.")
    return Path(given)


DataRoot = Annotated[
    Path,
    typer.Option(
        "--data-root",
        help="Folder of all artifacts, or s3://bucket/prefix.",
        envvar="SCREENALYZER_DATA_ROOT",
        parser=_data_root,
        metavar="DIRECTORY",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]
EpisodeName = Annotated[
    str, typer.Argument(metavar="EPISODE", help="SHOW/EPISODE, or EPISODE where one show has it.")
]


def say_error(message: str) -> None:
    """One line on stderr."""
    err.print(f"error: {message}", style="red", markup=False, soft_wrap=True)


def say_json(value: object) -> None:
    """JSON on stdout."""
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False))


def read_settings() -> Settings:
    """The settings of the main job, from the environment.

    Raises:
        SettingsError: a variable has a value that cannot be.
    """
    return read_environment(Settings)


def read_environment(kind: type[_Settings]) -> _Settings:
    """A group of settings, from the environment.

    Raises:
        SettingsError: a variable has a value that cannot be.
    """
    try:
        return kind()
    except ValidationError as e:
        first = e.errors()[0]
        name = "__".join(str(p).upper() for p in first["loc"])
        name = name if name in _PLAIN else f"SCREENALYZER_{name}"
        raise SettingsError(f"{name}: {first['msg']}. Correct or unset the variable.") from e
    except UnreadableError as e:
        names = " or ".join(_variables_of(str(e)))
        raise SettingsError(
            f"{names}: a group or a list is given as JSON, and this is none. Correct or unset the variable."
        ) from e


def _variables_of(complaint: str) -> list[str]:
    """The variables that are set of the group that pydantic-settings complains about in its message."""
    group = re.search(r'field "(\w+)"', complaint)
    prefix = f"SCREENALYZER_{group[1] if group else ''}".upper()
    return sorted(n for n in os.environ if n.upper().startswith(prefix))


def find_episode(root: Path, name: str) -> EpisodePaths:
    """The paths of an episode that has been processed, named as its folder is or as the video was.

    Raises:
        ArtifactError: there is none of that name, or several, or it is not finished.
    """
    if "/" in name:
        show, episode = name.split("/", 1)
        candidates = [EpisodePaths(root, _folder(show), _folder(episode))]
    else:
        candidates = [p for p in artifacts.episodes(root) if p.episode == _folder(name)]
    found = [p for p in candidates if _is_episode(p)]
    if len(found) > 1:
        options = ", ".join(p.key for p in found)
        raise ArtifactError(f"several shows have an episode {name}: name one of {options}.")
    if not found:
        names = [p.key for p in artifacts.episodes(root) if _is_episode(p)]
        known = ", ".join(names) or "none yet"
        raise ArtifactError(f"no episode {name} below {root}. Known: {known}. Name the right --data-root?")
    paths = found[0]
    artifacts.pull(paths)
    if not paths.marker(STAGE_NAMES[-1]).exists():
        raise ArtifactError(f"episode {paths.key} is not finished: run `screenalyzer process` on it again.")
    return paths


def _is_episode(paths: EpisodePaths) -> bool:
    """Whether a video was accepted under the name; one that was refused leaves no marker."""
    return any(e.path.suffix == ".json" for e in storage.files_below(paths.marker("any").parent))


def _folder(name: str) -> str:
    """What a name became when it was processed; itself where it could not have been."""
    try:
        return clean_name(name)
    except EpisodeNameError:
        return name
