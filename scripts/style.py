"""Check the English of the pages: `python scripts/style.py [FILE...]`.

Plain English: short sentences of common words. Each line of the output names a sentence of more than 40 words, or a
turn of phrase that there is a plainer word for. The status is 1 if there is any. A colon or a semicolon ends a sentence
here, and code does not count as words.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["MOST_WORDS", "PLAINER", "faults", "pages"]

PROJECT = Path(__file__).resolve().parent.parent
MOST_WORDS = 40
GENERATED = {"cli.md", "options.md"}
"""Their texts come from the code."""

PLAINER = {
    "a number of": "some, or how many",
    "anew": "again",
    "as well as": "and",
    "at this point in time": "now",
    "blazing": "how fast, with the figure",
    "boasts": "has",
    "came to": "say what happened",
    "cutting-edge": "say what is new",
    "delve": "look",
    "due to the fact that": "because",
    "facilitate": "help",
    "for the purpose of": "to",
    "go by the cache": "bypass the cache",
    "goes by the cache": "bypasses the cache",
    "going forward": "from now on",
    "has the ability to": "can",
    "hereby": "leave it out",
    "in order to": "to",
    "in the event that": "if",
    "is told apart": "differs",
    "it should be noted": "leave it out",
    "leverage": "use",
    "not to know": "say who need not know",
    "of its own accord": "by itself",
    "please note": "leave it out",
    "prior to": "before",
    "robust": "say what it withstands",
    "seamless": "say what happens",
    "see to it that": "make sure that",
    "state-of-the-art": "say how good, with the figure",
    "subsequent to": "after",
    "takes its time": "is slow",
    "thereof": "of it",
    "under the hood": "inside",
    "utilise": "use",
    "utilize": "use",
    "whilst": "while",
    "with regard to": "about",
}

_CODE = re.compile(r"^([ \t]*)(```|~~~).*?^\1\2[ \t]*$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_FORMULA = re.compile(r"\$\$.*?\$\$|\$[^$\n]+\$", re.DOTALL)
_INDENTED = re.compile(r"^(?: {4}|\t)(?! *[-*\d]).*$", re.MULTILINE)
_INLINE = re.compile(r"``.+?``|`[^`]+`", re.DOTALL)
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_END = re.compile(r"(?<=[.!?])[\"')*_]*\s+(?=[\"'(*_`]*[A-Z0-9`])|(?<=[:;])\s+")
_ITEM = re.compile(r"^\s*(?:[-*+]|\d+\.)\s+")
_WORD = re.compile(r"[^\W\d_][\w'’-]*")


def pages() -> list[Path]:
    """Return the pages that are checked."""
    return [PROJECT / "README.md", *(p for p in sorted((PROJECT / "docs").rglob("*.md")) if p.name not in GENERATED)]


def faults(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line, what is wrong) for each fault in a Markdown text.

    Example:
        >>> list(faults("We do it in order to help."))
        [(1, "'in order to': to")]
    """
    for pattern in (_CODE, _COMMENT, _FORMULA, _INDENTED):
        text = pattern.sub(lambda found: "\n" * found[0].count("\n"), text)
    text = _INLINE.sub(lambda found: "`" + "\n" * found[0].count("\n"), text)
    for line, block in _blocks(text):
        plain = _LINK.sub(r"\1", block)
        lowered = plain.lower()
        for phrase, better in PLAINER.items():
            if re.search(rf"\b{re.escape(phrase)}\b", lowered):
                yield line, f"'{phrase}': {better}"
        for sentence in _END.split(plain):
            count = len(_WORD.findall(sentence))
            if count > MOST_WORDS:
                yield line, f"a sentence of {count} words: {' '.join(sentence.split()[:8])} ..."


def _blocks(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line, text) of each paragraph, list item, heading and cell of a table."""
    start, held = 0, []
    for number, line in enumerate([*text.splitlines(), ""], 1):
        bare = line.strip()
        row = bare.startswith("|")
        if held and (not bare or row or bare.startswith("#") or _ITEM.match(line)):
            yield start, " ".join(held)
            held = []
        if row:
            for cell in bare.strip("|").split("|"):
                yield number, cell.strip()
        elif bare:
            start = start if held else number
            held.append(_ITEM.sub("", line).strip())
            if bare.startswith("#"):
                yield number, " ".join(held)
                held = []


def main() -> int:
    """Print the faults of the pages."""
    found = 0
    for page in map(Path, sys.argv[1:]) if sys.argv[1:] else pages():
        for line, what in faults(page.read_text(encoding="utf-8")):
            found += 1
            print(f"{page.resolve().relative_to(PROJECT)}:{line}: {what}")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
