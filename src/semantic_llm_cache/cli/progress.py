"""A progress bar on stderr: one live line on a terminal, a few plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from semantic_llm_cache.cli.output import Style, columns, fit

__all__ = ["Progress"]

_REDRAW_S = 0.05  # no terminal shows more than 20 changes a second worth having
_LINES = 5  # lines written in all where there is no terminal


class Progress:
    """Shows how far a job is. Use as a context manager; the live line is gone at its end.

    Args:
        total: how many steps there are.
        stream: where to write; None is stderr.
        enabled: False writes nothing.

    Example:
        >>> with Progress(2, enabled=False) as progress:
        ...     progress.step("one hit")
    """

    def __init__(self, total: int, *, stream: TextIO | None = None, enabled: bool = True) -> None:
        self._total = total
        self._stream = stream if stream is not None else sys.stderr
        self._enabled = enabled and total > 0
        self._live = self._stream.isatty()
        self._style = Style(self._stream)
        self._done = 0
        self._drawn = 0.0
        self._started = time.monotonic()
        encoding = (getattr(self._stream, "encoding", None) or "ascii").lower().replace("-", "")
        self._full, self._empty = ("━", "─") if encoding == "utf8" else ("#", "-")

    def step(self, note: str) -> None:
        """Count one step as done; `note` is shown behind the count."""
        self._done += 1
        if not self._enabled:
            return
        if self._live:
            now = time.monotonic()
            if now - self._drawn >= _REDRAW_S or self._done == self._total:
                self._drawn = now
                self._draw(note)
        elif self._done * _LINES // self._total > (self._done - 1) * _LINES // self._total:
            print(f"{self._count()}  {note}", file=self._stream, flush=True)

    def _count(self) -> str:
        return f"{self._done:>{len(str(self._total))}}/{self._total}"

    def _draw(self, note: str) -> None:
        seconds = f"{time.monotonic() - self._started:4.0f} s"
        width = columns() - 1
        rest = width - len(self._count()) - len(note) - len(seconds) - 6
        size = max(10, min(16, rest))
        full = size * self._done // self._total
        text = fit(f"  {self._count()}  {note}{seconds}", width - size)
        bar = self._style.green(self._full * full) + self._style.dim(self._empty * (size - full))
        self._stream.write(f"\r\x1b[2K{bar}{text}")
        self._stream.flush()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._enabled and self._live and self._drawn:
            self._stream.write("\r\x1b[2K")
            self._stream.flush()
