"""A progress bar on stderr: one live line on a terminal, a few plain lines elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TextIO

from semantic_llm_cache.cli.output import colour

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

__all__ = ["Progress", "follow"]

_LINES = 5  # lines written in total without a terminal
_SECONDS = 10.0  # between lines without a terminal, when the total is unknown


class Progress:
    """Shows how far a job is. Use as a context manager; the live line is removed at its end.

    Args:
        total: how many steps there are; None when that is not known: no bar then, only the count.
        enabled: False writes nothing.
        percent: show the progress in percent: for steps that people do not count, such as bytes.

    Example:
        >>> with Progress(2, enabled=False) as progress:
        ...     progress.step("one hit")
    """

    def __init__(self, total: int | None, *, enabled: bool = True, percent: bool = False) -> None:
        self._total = total
        self._stream = sys.stderr
        self._enabled = enabled and total != 0
        self._percent = percent
        self._done = 0
        self._told = time.monotonic()
        self._bar: tuple[Bar, TaskID] | None = None

    def step(self, note: str, count: int = 1) -> None:
        """Count `count` steps as done; `note` is shown behind the count."""
        before, self._done = self._done, self._done + count
        if self._total is not None and self._done > self._total:
            self._total = self._done  # there was more to do than expected
        if not self._enabled or not count:
            return
        if self._bar is not None:
            bar, task = self._bar
            bar.update(task, completed=self._done, total=self._total, description=f"{self._count()}  {note}")
        elif self._due(before):
            print(f"{self._count()}  {note}", file=self._stream, flush=True)

    def _due(self, before: int) -> bool:
        """Return whether it is time for a line, where there is no terminal."""
        if self._total is not None:
            return self._done * _LINES // self._total > before * _LINES // self._total
        now = time.monotonic()
        due = now - self._told >= _SECONDS
        self._told = now if due else self._told
        return due

    def _count(self) -> str:
        if self._total is None:
            return f"{self._done:,}"
        if self._percent:
            return f"{100 * self._done // self._total:>3} %"
        return f"{self._done:>{len(str(self._total))}}/{self._total}"

    def __enter__(self) -> Progress:
        if self._enabled and self._stream.isatty() and os.environ.get("TERM") != "dumb":
            self._bar = _live_bar(self._stream, self._total)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._bar is not None:
            self._bar[0].stop()


def _live_bar(stream: TextIO, total: int | None) -> tuple[Bar, TaskID]:
    """Start a live line: a bar where the total is known, what is done, and the time."""
    from rich.console import Console
    from rich.progress import BarColumn, ProgressColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar
    from rich.table import Column

    text = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis"))
    shown: list[ProgressColumn] = [text, TimeElapsedColumn()]
    if total is not None:
        shown.insert(0, BarColumn(bar_width=16))
    console = Console(file=stream, highlight=False, color_system=None if colour() is False else "auto")
    bar = Bar(*shown, console=console, transient=True)
    bar.start()
    return bar, bar.add_task("", total=total)


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
