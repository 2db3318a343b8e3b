"""Writes docs/settings.md from the settings themselves; with --check says whether it is up to date."""

import sys
from pathlib import Path
from typing import get_args

from screenalyzer.settings import Settings, Slice

_TARGET = Path(__file__).resolve().parents[1] / "docs" / "settings.md"
_HEAD = """# Settings

Every setting is an environment variable, read once at the start. Options of the command line overrule them.
This page is written by `tools/settings_doc.py`.
"""


def render() -> str:
    """The page."""
    lines = [_HEAD]
    for group, field in Settings.model_fields.items():
        kind = field.annotation
        assert isinstance(kind, type) and issubclass(kind, Slice)  # noqa: PT018
        title = (kind.__doc__ or group).strip().split(". ")[0].rstrip(".")
        lines += [f"## {title}", "", "| variable | default | meaning |", "|---|---|---|"]
        for name, f in kind.model_fields.items():
            default = f.get_default(call_default_factory=True)
            shown = str(default).replace(str(Path.home()), "~") if default is not None else "unset"
            options = get_args(f.annotation) if "Literal" in str(f.annotation) else ()
            choices = ", ".join(str(c) for c in options)
            meaning = "; ".join(p for p in (f.description or name.replace("_", " "), choices) if p)
            lines.append(f"| `SCREENALYZER_{group.upper()}__{name.upper()}` | {shown} | {meaning} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    """Write the page, or check it."""
    if "--check" not in sys.argv:
        _TARGET.write_text(render())
    elif not _TARGET.exists() or _TARGET.read_text() != render():
        sys.exit("docs/settings.md is out of date: run .venv/bin/python tools/settings_doc.py")


if __name__ == "__main__":
    main()
