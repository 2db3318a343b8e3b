"""Text that users send, as types: what would spoil a path, a page or a log is refused with a 422.

A title keeps what was typed. `screenalyzer.artifacts.clean_name` makes of it the name that stands in paths,
so a title of which no name can be made is refused here, where the user can still correct it.
"""

import re
import unicodedata
from typing import Annotated, Final

from pydantic import AfterValidator, StringConstraints, WithJsonSchema

from screenalyzer.artifacts import clean_name
from screenalyzer.errors import EpisodeNameError

LONGEST_TITLE: Final = 120
LONGEST_PLAIN: Final = 200

# Marks that turn the direction of the text around them: a name with one can show as another name.
_BIDI: Final = frozenset(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A))))
_FORBIDDEN_CATEGORIES: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})  # controls, lone surrogates, line breaks
_NOT_DECODED: Final = "\ufffd"  # stands for bytes that were no text
_STEP_UP: Final = re.compile(r"(^|[/\\])\.\.([/\\]|$)")
_FORBIDDEN: Final = r"\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufffd"


def plain(text: str) -> str:
    """The text itself.

    Raises:
        ValueError: it holds a control character, half a surrogate pair, a mark that reverses its direction,
            or a step up a path. No path is made of it; but nobody types that and means well.
    """
    for c in text:
        if c in _BIDI or c == _NOT_DECODED or unicodedata.category(c) in _FORBIDDEN_CATEGORIES:
            raise ValueError(f"the character U+{ord(c):04X} cannot be shown safely; leave it out")
    if _STEP_UP.search(text):
        raise ValueError("it holds a step up a path (..); leave it out")
    return text


def title(text: str) -> str:
    """A title as it was typed, without blanks around it.

    Raises:
        ValueError: it holds what `plain` refuses, or no name for a folder can be made of it.
    """
    kept = plain(text).strip()
    try:
        clean_name(kept, "title")
    except EpisodeNameError as e:
        raise ValueError(str(e)) from e
    return kept


Id = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
"""Of a row."""

Plain = Annotated[
    str,
    StringConstraints(max_length=LONGEST_PLAIN),
    AfterValidator(plain),
    WithJsonSchema({"type": "string", "maxLength": LONGEST_PLAIN, "pattern": rf"^[^{_FORBIDDEN}]*$"}),
]
"""A short text without anything that hides or deceives."""

Title = Annotated[
    str,
    StringConstraints(min_length=1, max_length=LONGEST_TITLE),
    AfterValidator(title),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": LONGEST_TITLE,
            "pattern": rf"^[^{_FORBIDDEN}]*[\p{{L}}\p{{N}}][^{_FORBIDDEN}]*$",
            "description": "One line with a letter or a digit; at most 200 bytes in UTF-8.",
        }
    ),
]
"""What a user calls a show or an episode."""
