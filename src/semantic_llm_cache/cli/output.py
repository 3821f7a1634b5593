"""Output of the commands: colour only on a terminal, no control characters, tables that fit."""

from __future__ import annotations

import json
import os
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import click

from semantic_llm_cache.values.odd_text import portable

__all__ = [
    "age", "clean", "colour", "columns", "counted", "dim", "fit", "milliseconds", "money", "number", "print_json",
    "print_table",
    "say", "tally",
]  # fmt: skip

_WIDEST = 30
"""Widest column of a table on a terminal, the last one apart."""


def colour() -> bool | None:
    """Return whether `say` may colour its text: False for never, None for on a terminal only."""
    return False if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" else None


def say(text: str = "", *, err: bool = False) -> None:
    """Print text, styled with `click.style`, on stdout or stderr. Elsewhere than on a terminal it has no colours."""
    # The stream is named, because click would replace one whose encoding is ASCII.
    click.echo(text, file=sys.stderr if err else sys.stdout)


def dim(text: str) -> str:
    """Return `text` dimmed."""
    return click.style(text, dim=True)


def counted(number: int, one: str, many: str) -> str:
    """Return a number with its noun.

    Example:
        >>> counted(1, "entry", "entries"), counted(1200, "entry", "entries")
        ('1 entry', '1,200 entries')
    """
    return f"{number:,} {one if number == 1 else many}"


def number(value: object) -> str:
    """Return a figure with separators; floats that are not whole with two digits, anything else as its text.

    Example:
        >>> number(1200), number(0.5)
        ('1,200', '0.50')
    """
    if isinstance(value, float):
        return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else clean(str(value))


def tally(counts: Iterable[tuple[int, str]], width: int = 9) -> None:
    """Print a line for each count that is not 0.

    Example:
        >>> tally([(3, "stored"), (0, "broken")])
                  3 stored
    """
    for count, what in counts:
        if count:
            say(f"  {count:>{width},} {what}")


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


def fit(text: str, width: int) -> str:
    """Return `text` cut to `width` terminal cells, with an ellipsis where something is missing.

    Example:
        >>> fit("What is Python?", 10)
        'What is...'
    """
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 3).rstrip() + "..."


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


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, right: Iterable[int] = ()) -> None:
    """Print a table: on a terminal cut to its width, elsewhere whole, so that a search finds all.

    Args:
        heads: the columns' names.
        rows: the cells, already clean.
        right: indexes of the columns that are aligned to the right.
    """
    right = set(right)
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
        for i, head in enumerate(heads):
            last = i == len(heads) - 1  # the one that gives way, since it is not bound to its width by `no_wrap`
            justify: Literal["right", "default"] = "right" if i in right else "default"
            table.add_column(Text(head), justify=justify, no_wrap=not last, max_width=None if last else _WIDEST)
        for row in rows:
            table.add_row(*(Text(cell, no_wrap=True, overflow="ellipsis") for cell in row))
        console = Console(highlight=False, color_system=None if colour() is False else "auto")
        console.print(table)
        return
    from rich.cells import cell_len

    widths = [max(cell_len(row[i]) for row in (heads, *rows)) for i in range(len(heads))]
    for row in (heads, *rows):
        spaces = [" " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)]
        pairs = enumerate(zip(spaces, row, strict=True))
        say("  ".join(space + cell if i in right else cell + space for i, (space, cell) in pairs).rstrip())
