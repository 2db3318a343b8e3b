"""Writes docs/settings.md from the settings themselves; with --check says whether it is up to date."""

import sys
from pathlib import Path
from typing import get_args

from pydantic.fields import FieldInfo

from screenalyzer.settings import Settings, Slice, WorkSettings
from services.settings import ServiceSettings

_TABLE = ("| variable | default | meaning |", "|---|---|---|")
_TARGET = Path(__file__).resolve().parents[1] / "docs" / "settings.md"
_HEAD = """# Settings

Every setting is an environment variable, read once at the start. Options of the command line overrule them.
Lists are given as JSON. This page is written by `tools/settings_doc.py`.
"""


def render() -> str:
    """The page."""
    lines = [_HEAD]
    for settings in (Settings, ServiceSettings):
        single = {n: f for n, f in settings.model_fields.items() if not _is_group(f)}
        single |= WorkSettings.model_fields if single else {}
        if single:
            lines += [
                "## Where the service keeps things",
                "",
                *_TABLE,
                *(_row(_name(n, f), f) for n, f in single.items()),
                "",
            ]
        for group, field in settings.model_fields.items():
            if group not in single:
                lines += _group(group, field)
    return "\n".join(lines).rstrip() + "\n"


def _is_group(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, Slice)


def _group(group: str, field: FieldInfo) -> list[str]:
    kind = field.annotation
    assert isinstance(kind, type) and issubclass(kind, Slice)  # noqa: PT018
    title = (kind.__doc__ or group).strip().split(". ")[0].rstrip(".")
    rows = [_row(f"SCREENALYZER_{group.upper()}__{name.upper()}", f) for name, f in kind.model_fields.items()]
    return [f"## {title}", "", *_TABLE, *rows, ""]


def _name(name: str, field: FieldInfo) -> str:
    alias = field.validation_alias
    return alias if isinstance(alias, str) else f"SCREENALYZER_{name.upper()}"


def _row(variable: str, field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True)
    shown = str(default).replace(str(Path.home()), "~") if default not in (None, ()) else "unset"
    options = get_args(field.annotation) if "Literal" in str(field.annotation) else ()
    choices = ", ".join(str(c) for c in options)
    words = variable.rsplit("__", 1)[-1].lower().replace("_", " ")
    meaning = "; ".join(p for p in (field.description or words, choices) if p)
    return f"| `{variable}` | {shown} | {meaning} |"


def main() -> None:
    """Write the page, or check it."""
    if "--check" not in sys.argv:
        _TARGET.write_text(render())
    elif not _TARGET.exists() or _TARGET.read_text() != render():
        sys.exit("docs/settings.md is out of date: run .venv/bin/python tools/settings_doc.py")


if __name__ == "__main__":
    main()
