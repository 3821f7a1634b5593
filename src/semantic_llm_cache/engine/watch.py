"""What is recorded of one call while somebody listens: when its phases ended, and the spans around it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from semantic_llm_cache.calls.lookup import Lookup

__all__ = ["Calling", "Phase", "Span", "Watch"]

OnFailure = Callable[[BaseException], None]
"""Logs what a listener raised."""


class Phase(NamedTuple):
    """One part of a call.

    Attributes:
        name: ``"embed"``, ``"search"``, ``"decide"`` or ``"call"``.
        start, end: by `perf_counter`, in seconds.
    """

    name: str
    start: float
    end: float


class Span(Protocol):
    """What a listener keeps of a call that is under way. What its methods raise is logged and ignored."""

    def calling(self) -> AbstractContextManager[object]:
        """Return what surrounds the user's function, in the context in which it runs."""

    def end(self, watch: Watch, error: BaseException | None) -> None:
        """Take note that the call has ended, with the exception that it ended with, if any. Called once."""


class Watch:
    """The record of one call.

    Each phase takes one reading of the clock: it begins where the one before it ended.

    Attributes:
        started: when the call began, by `perf_counter`.
        lookup: the result, once it is known.
        tokens: input and output tokens of the call that a hit saved.
    """

    __slots__ = ("_marks", "_on_failure", "_spans", "lookup", "started", "tokens")

    def __init__(self, spans: Sequence[Span], on_failure: OnFailure) -> None:
        self.started = perf_counter()
        self.lookup: Lookup | None = None
        self.tokens = (0, 0)
        self._marks: list[tuple[str, float]] = []
        self._spans = spans
        self._on_failure = on_failure

    def mark(self, phase: str = "") -> None:
        """Record that a phase has ended now; without a name, that the next one begins."""
        self._marks.append((phase, perf_counter()))

    @property
    def searched(self) -> bool:
        """Whether a search was the last thing that ended."""
        return bool(self._marks) and self._marks[-1][0] == "search"

    @property
    def phases(self) -> list[Phase]:
        """The phases that have ended, in their order; one may occur more than once."""
        found, start = [], self.started
        for name, end in list(self._marks):
            if name:
                found.append(Phase(name, start, end))
            start = end
        return found

    def calling(self) -> Calling:
        """Return what surrounds the user's function: a context manager that records it as the phase ``"call"``."""
        return Calling(self, self._spans, self._on_failure)

    def end(self, error: BaseException | None = None) -> None:
        """Tell the spans that the call has ended."""
        spans, self._spans = self._spans, ()
        for span in spans:
            try:
                span.end(self, error)
            except Exception as failure:
                self._on_failure(failure)


class Calling:
    """Surrounds the user's function: see `Watch.calling`.

    Attributes:
        error: what the function raised, where that is handed on as a value.
    """

    __slots__ = ("_entered", "_on_failure", "_spans", "_watch", "error")

    def __init__(self, watch: Watch, spans: Sequence[Span], on_failure: OnFailure) -> None:
        self._watch = watch
        self._spans = spans
        self._on_failure = on_failure
        self._entered: list[AbstractContextManager[object]] = []
        self.error: BaseException | None = None

    def __enter__(self) -> Calling:
        for span in self._spans:
            try:
                entered = span.calling()
                entered.__enter__()
            except Exception as failure:
                self._on_failure(failure)
            else:
                self._entered.append(entered)
        self._watch.mark()
        return self

    def __exit__(self, _: object, raised: BaseException | None, __: object) -> None:
        self._watch.mark("call")
        error, self.error = raised or self.error, None
        while self._entered:
            try:
                self._entered.pop().__exit__(None if error is None else type(error), error, None)
            except Exception as failure:
                self._on_failure(failure)
