"""What the commands share: how they speak, and how they find an episode."""

import json
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console

from screenalyzer.artifacts import EpisodePaths
from screenalyzer.errors import ArtifactError, SettingsError
from screenalyzer.settings import Settings

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

DataRoot = Annotated[
    Path,
    typer.Option(
        "--data-root", help="Folder of all artifacts.", envvar="SCREENALYZER_DATA_ROOT", file_okay=False
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
    """The settings of the environment.

    Raises:
        SettingsError: a variable has a value that cannot be.
    """
    try:
        return Settings()
    except ValidationError as e:
        first = e.errors()[0]
        name = "SCREENALYZER_" + "__".join(str(p).upper() for p in first["loc"])
        raise SettingsError(f"{name}: {first['msg']}. Correct or unset the variable.") from e


def find_episode(root: Path, name: str) -> EpisodePaths:
    """The paths of an episode that has been processed.

    Raises:
        ArtifactError: there is none of that name, or several.
    """
    outputs = root / "outputs"
    if "/" in name:
        show, episode = name.split("/", 1)
        candidates = [outputs / show / episode]
    else:
        candidates = sorted(p for p in outputs.glob("*/*") if p.name == name)
    found = [p for p in candidates if (p / "stages").is_dir()]
    if len(found) > 1:
        options = ", ".join(f"{p.parent.name}/{p.name}" for p in found)
        raise ArtifactError(f"several shows have an episode {name}: name one of {options}.")
    if not found:
        known = ", ".join(f"{p.parent.name}/{p.name}" for p in sorted(outputs.glob("*/*"))) or "none yet"
        raise ArtifactError(f"no episode {name} below {root}. Known: {known}. Name the right --data-root?")
    return EpisodePaths(root, found[0].parent.name, found[0].name)
