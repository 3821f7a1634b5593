"""Output of the commands: colour only on a terminal, no control characters, tables that fit."""

from __future__ import annotations

import json
import os
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from semantic_llm_cache.values.odd_text import portable

__all__ = [
    "Style", "age", "clean", "columns", "counted", "fit", "milliseconds", "money", "print_json", "table", "tally",
]  # fmt: skip

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


class Style:
    """Colours text for one stream, if that is a terminal and NO_COLOR is not set.

    Example:
        >>> import io
        >>> Style(io.StringIO()).red("wrong")
        'wrong'
    """

    def __init__(self, stream: TextIO) -> None:
        self.enabled = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    def paint(self, text: str, name: str) -> str:
        """Return `text` in the colour or weight `name`."""
        return f"\x1b[{_CODES[name]}m{text}\x1b[0m" if self.enabled else text

    def bold(self, text: str) -> str:
        """Return `text` in bold."""
        return self.paint(text, "bold")

    def dim(self, text: str) -> str:
        """Return `text` dimmed."""
        return self.paint(text, "dim")

    def red(self, text: str) -> str:
        """Return `text` in red."""
        return self.paint(text, "red")

    def yellow(self, text: str) -> str:
        """Return `text` in yellow."""
        return self.paint(text, "yellow")

    def green(self, text: str) -> str:
        """Return `text` in green."""
        return self.paint(text, "green")


def counted(number: int, one: str, many: str) -> str:
    """Return a number with its noun.

    Example:
        >>> counted(1, "entry", "entries"), counted(1200, "entry", "entries")
        ('1 entry', '1,200 entries')
    """
    return f"{number:,} {one if number == 1 else many}"


def tally(counts: Iterable[tuple[int, str]], width: int = 9) -> str:
    """Return a line for each count that is not 0, ending in a line break; "" for none.

    Example:
        >>> tally([(3, "stored"), (0, "broken")])
        '          3 stored\\n'
    """
    return "".join(f"  {number:>{width},} {what}\n" for number, what in counts if number)


def columns() -> int:
    """Return how many characters a line holds: the terminal's width, 80 where there is none."""
    return max(40, shutil.get_terminal_size((80, 24)).columns)


def clean(text: str, *, lines: bool = False) -> str:
    """Return `text` without terminal control characters: a stored prompt may hold anything.

    Args:
        text: any text.
        lines: keep line ends and tabs; otherwise they become one space each.

    Example:
        >>> clean("one\\ntwo \\x1b[31mred")
        'one two \\\\x1b[31mred'
    """
    kept = []
    for char in text:
        if char in "\n\t":
            kept.append(char if lines else " ")
        elif unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") and char not in "\u200c\u200d":
            kept.append(char.encode("unicode_escape").decode("ascii"))
        else:
            kept.append(char)
    return "".join(kept)


def _cells(char: str) -> int:
    if unicodedata.combining(char) or char in "\u200c\u200d":
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def fit(text: str, width: int) -> str:
    """Return `text` cut to `width` terminal cells, with an ellipsis where something is missing.

    Example:
        >>> fit("What is Python?", 10)
        'What is...'
    """
    if sum(map(_cells, text)) <= width:
        return text
    used = 0
    for index, char in enumerate(text):
        used += _cells(char)
        if used > width - 3:
            return text[:index].rstrip() + "..."
    return text


def age(seconds: float) -> str:
    """Return a span of time in its largest unit.

    Example:
        >>> age(7300), age(12)
        ('2 h', '12 s')
    """
    seconds = max(0.0, seconds)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def milliseconds(value: float) -> str:
    """Return a duration with two or three significant figures and its unit.

    Example:
        >>> milliseconds(0.0456), milliseconds(6.12), milliseconds(352.4), milliseconds(48210)
        ('0.046 ms', '6.1 ms', '352 ms', '48.2 s')
    """
    if value < 0:
        return "-" + milliseconds(-value)
    if value >= 600_000:
        return f"{value / 60_000:.1f} min"
    if value >= 1000:
        return f"{value / 1000:.1f} s"
    digits = 0 if value >= 99.5 else 1 if value >= 0.95 else 2 if value >= 0.095 else 3
    return f"{value:.{digits}f} ms"


def money(usd: float) -> str:
    """Return an amount in US dollars, with more digits for small ones.

    Example:
        >>> money(12.3456), money(0.00412)
        ('$12.35', '$0.0041')
    """
    return f"${usd:.2f}" if usd >= 1 or usd == 0 else f"${usd:.4f}"


def print_json(value: Any) -> None:
    """Print `value` as indented JSON."""
    print(portable(json.dumps(value, ensure_ascii=False, indent=2)))


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[int] = (),
    style: Style | None = None,
) -> list[str]:
    """Return the lines of a table; the last column takes what is left of the terminal's width.

    Args:
        heads: the columns' names.
        rows: the cells, already clean.
        right: indexes of the columns set flush right.
        style: for the heading; None is that of stdout.
    """
    style = style or Style(sys.stdout)
    widths = [max(sum(map(_cells, row[i])) for row in [heads, *rows]) for i in range(len(heads))]
    rest = columns() - sum(widths[:-1]) - 2 * (len(heads) - 1)
    widths[-1] = min(widths[-1], max(rest, 12))

    def line(cells: Sequence[str]) -> str:
        parts = []
        for i, cell in enumerate(cells):
            cell = fit(cell, widths[i])
            space = " " * (widths[i] - sum(map(_cells, cell)))
            parts.append(space + cell if i in right else cell + space)
        return "  ".join(parts).rstrip()

    return [style.dim(line(heads)), *map(line, rows)]
