"""Looking for words in texts and in bytes that may be anything.

In text a word counts only by itself: a name within a longer one is another name. In other bytes, as of a
database, nothing need stand between a word and what comes before it, so there it counts wherever it is; but
three letters come together by chance in every film, so short words are not looked for in coded pictures.
"""

import html
import json
import re
import unicodedata
from collections.abc import Collection
from urllib.parse import quote

_MASK = "[name]"
_SHORT = 5  # bytes; a longer run comes together by chance once in more than 2^40 bytes
_LETTER = rb"[0-9A-Za-z_\x80-\xff]"
_CONTEXT = 2  # bytes before a word that decide whether it stands by itself
_ESCAPE = rb"(?<=\\[nrt])"  # the end of an escape in JSON is no letter


class Words:
    """Some words, in the forms in which files write them: as they are, as JSON, XML and addresses escape."""

    def __init__(self, words: Collection[str]) -> None:
        """Take the words; blank ones are left out."""
        known = {form for w in words if w.strip() for form in _spellings(w.strip())}
        self._plain = sorted(known, key=lambda w: (-len(w), w))
        self._forms = sorted({f.encode() for w in known for f in _escaped(w)}, key=lambda f: (-len(f), f))
        self._alone = {
            f: re.compile(b"(?:(?<!%b)|%b)%b(?!%b)" % (_LETTER, _ESCAPE, re.escape(f), _LETTER))
            for f in self._forms
        }
        inner = "|".join(re.escape(w) for w in self._plain)
        self._text = re.compile(rf"(?<!\w)(?:{inner})(?!\w)") if inner else None
        self.reach = max((len(f) for f in self._forms), default=-_CONTEXT) + _CONTEXT

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._forms)

    def in_text(self, text: str) -> bool:
        """Whether one stands in a text, by itself."""
        return self._text is not None and self._text.search(text) is not None

    def mask(self, text: str) -> str:
        """The text with a mask for every word, also within longer ones."""
        for word in self._plain:
            text = text.replace(word, _MASK)
        return text

    def in_bytes(self, data: bytes, *, coded: bool, first: bool = True, last: bool = True) -> bool:
        """Whether one lies in some bytes.

        Args:
            data: a block, which begins with the last `reach` bytes of the block before.
            coded: they are of a compressed file, in which short runs of bytes mean nothing.
            first: nothing comes before it; else a word at the very beginning was looked at with that block.
            last: nothing comes after it; else a word at the very end is left to the next block.
        """
        present = [f for f in self._forms if f in data]  # far faster than a pattern
        if not present:
            return False
        text = b"\0" not in data
        for form in present:
            if coded and len(form) < _SHORT:
                continue
            if not text and len(form) >= _SHORT:
                return True
            places = [m.span() for m in self._alone[form].finditer(data)]
            if any((first or start >= _CONTEXT) and (last or end < len(data)) for start, end in places):
                return True
        return False


def _spellings(word: str) -> set[str]:
    return {word, unicodedata.normalize("NFC", word), unicodedata.normalize("NFD", word)}


def _escaped(word: str) -> set[str]:
    return {word, json.dumps(word)[1:-1], html.escape(word), html.escape(word, quote=False), quote(word)}
