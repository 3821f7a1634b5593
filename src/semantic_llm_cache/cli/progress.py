"""A progress bar on stderr: one live line on a terminal, a few plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from semantic_llm_cache.cli.output import Style, columns, fit

__all__ = ["Progress", "follow"]

_REDRAW_S = 0.05  # more than 20 changes a second cannot be read
_LINES = 5  # lines written in total without a terminal
_SECONDS = 10.0  # between lines without a terminal, when the total is unknown


class Progress:
    """Shows how far a job is. Use as a context manager; the live line is gone at its end.

    Args:
        total: how many steps there are; None when that is not known: no bar then, only the count.
        stream: where to write; None is stderr.
        enabled: False writes nothing.
        percent: show how far in percent: where steps are nothing that people count, such as bytes.

    Example:
        >>> with Progress(2, enabled=False) as progress:
        ...     progress.step("one hit")
    """

    def __init__(
        self, total: int | None, *, stream: TextIO | None = None, enabled: bool = True, percent: bool = False
    ) -> None:
        self._total = total
        self._stream = stream if stream is not None else sys.stderr
        self._enabled = enabled and total != 0
        self._percent = percent
        self._live = self._stream.isatty()
        self._style = Style(self._stream)
        self._done = 0
        self._drawn = 0.0
        self._started = self._told = time.monotonic()
        encoding = (getattr(self._stream, "encoding", None) or "ascii").lower().replace("-", "")
        self._full, self._empty = ("━", "─") if encoding == "utf8" else ("#", "-")

    def step(self, note: str, count: int = 1) -> None:
        """Count `count` steps as done; `note` is shown behind the count."""
        before, self._done = self._done, self._done + count
        if self._total is not None and self._done > self._total:
            self._total = self._done  # there was more to do than expected
        if not self._enabled or not count:
            return
        now = time.monotonic()
        if self._live:
            if now - self._drawn >= _REDRAW_S or self._done == self._total:
                self._drawn = now
                self._draw(note)
        elif self._total is None:
            if now - self._told >= _SECONDS:
                self._told = now
                print(f"{self._count()}  {note}", file=self._stream, flush=True)
        elif self._done * _LINES // self._total > before * _LINES // self._total:
            print(f"{self._count()}  {note}", file=self._stream, flush=True)

    def _count(self) -> str:
        if self._total is None:
            return f"{self._done:,}"
        if self._percent:
            return f"{100 * self._done // self._total:>3} %"
        return f"{self._done:>{len(str(self._total))}}/{self._total}"

    def _draw(self, note: str) -> None:
        seconds = f"{time.monotonic() - self._started:4.0f} s"
        width = columns() - 1
        rest = width - len(self._count()) - len(note) - len(seconds) - 6
        size = 0 if self._total is None else max(10, min(16, rest))
        full = 0 if self._total is None else size * self._done // self._total
        text = fit(f"  {self._count()}  {note}{seconds}", width - size)
        bar = self._style.green(self._full * full) + self._style.dim(self._empty * (size - full)) if size else ""
        self._stream.write(f"\r\x1b[2K{bar}{text}")
        self._stream.flush()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._enabled and self._live and self._drawn:
            self._stream.write("\r\x1b[2K")
            self._stream.flush()


@contextlib.contextmanager
def follow(note: Callable[[Any], str], *, enabled: bool = True) -> Iterator[Callable[[Any], None]]:
    """Show the progress of a job that gives reports: yield the function to call with each report.

    Args:
        note: makes the words behind the count from a report.
        enabled: False writes nothing.

    A report has `total` (or None) and `read`.
    """
    with contextlib.ExitStack() as stack:
        bar: Progress | None = None
        done = 0

        def show(report: Any) -> None:
            nonlocal bar, done
            if bar is None:
                bar = stack.enter_context(Progress(report.total, enabled=enabled))
            bar.step(note(report), report.read - done)
            done = report.read

        yield show
