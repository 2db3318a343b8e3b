"""JavaScript modules as the one that Streamlit loads.

A component's JavaScript reaches the browser as one text. It is kept in modules that import each other by name
from files beside them, as browsers load them; here they become one. All names at the top of the modules of a
component must differ, which a browser checks when it loads the result.
"""

import re
from functools import cache
from pathlib import Path
from typing import Final

_IMPORT: Final = re.compile(r'^import \{[^}]*\} from "\./([a-z_]+\.js)";\n', re.MULTILINE)
_EXPORT: Final = re.compile(r"^export (?!default )", re.MULTILINE)
_COMMENT: Final = re.compile(r"^\s*//.*\n|^\s*/\*\*(?:.|\n)*?\*/\n", re.MULTILINE)


@cache
def joined(folder: Path, first: str) -> str:
    """A module and all that it imports, each once and before what needs it; without comments.

    Args:
        folder: of the modules.
        first: file name of the one with the default export.
    """
    order: list[str] = []

    def visit(name: str) -> None:
        if name in order:
            return
        for needed in _IMPORT.findall((folder / name).read_text("utf-8")):
            visit(needed)
        order.append(name)

    visit(first)
    texts = (_IMPORT.sub("", (folder / name).read_text("utf-8")) for name in order)
    return "\n".join(_COMMENT.sub("", _EXPORT.sub("", text)) for text in texts)
