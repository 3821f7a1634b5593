"""Notes in the storage on what `invalidate` removes, for calls in flight in other processes.

A note is a named state. Its name is that of its label's slot, one of 4,096; its value is the time of the last
`invalidate`, and which process that was. So a note is written without reading it first, and there are never too many:
labels that share a slot count as invalidated together, which costs a call in flight its entry at worst. An old note
does no harm, because it is from before any call that is still in flight.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

__all__ = ["NOTES", "last_of", "note", "note_names"]

NOTES = "withdrawn:"
"""What the names of the notes begin with."""

_DIGITS = 3  # of a slot, in hexadecimal


def note_names(labels: Iterable[str]) -> list[str]:
    """Return the names of the notes of some labels, each once.

    Example:
        >>> note_names(["depends-on:doc:17"]) == note_names(["depends-on:doc:17", "depends-on:doc:17"])
        True
    """
    return sorted({NOTES + _slot(label) for label in labels})


def _slot(label: str) -> str:
    import hashlib  # only an entry with labels needs it

    return hashlib.blake2b(label.encode("utf-8", "surrogatepass"), digest_size=2).hexdigest()[:_DIGITS]


def note(at: float, by: str) -> bytes:
    """Return the value of a note: the time in seconds, and the name of the process."""
    return f"{float(at)!r} {by}".encode("ascii")


def last_of(values: Iterable[bytes | None], but_by: str | None) -> float:
    """Return the latest time of some notes, apart from those of the process `but_by`; -inf if there is none.

    A note that cannot be read counts as infinitely late.

    Example:
        >>> last_of([note(5.0, "me"), note(3.0, "other"), None], "me"), last_of([note(5.0, "me")], None)
        (3.0, 5.0)
    """
    last = -math.inf
    for value in values:
        if value is not None:
            at, by = _read(value)
            if by != but_by:
                last = max(last, at)
    return last


def _read(value: bytes) -> tuple[float, str]:
    try:
        at, by = value.decode("ascii").split(" ")
        when = float(at)
    except ValueError:
        return math.inf, ""
    return (when, by) if math.isfinite(when) else (math.inf, "")
