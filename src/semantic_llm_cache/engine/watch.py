"""What is recorded of one call while somebody listens: when its phases ended, and the spans around it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from time import perf_counter
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from semantic_llm_cache.calls.lookup import Lookup

__all__ = ["Phase", "Span", "Surrounding", "Watch"]

OnFailure = Callable[[BaseException], None]
"""Logs what a listener raised."""


class _Ran(Protocol):
    @property
    def error(self) -> BaseException | None: ...


R = TypeVar("R", bound=_Ran)


class Phase:
    """One part of a call.

    Attributes:
        name: ``"embed"``, ``"search"``, ``"decide"`` or ``"call"``.
        start, end: by `perf_counter`, in seconds.
    """

    __slots__ = ("end", "name", "start")

    def __init__(self, name: str, start: float, end: float) -> None:
        self.name = name
        self.start = start
        self.end = end


class Span(Protocol):
    """What a listener keeps of a call that is under way. What its methods raise is logged and ignored."""

    def looking(self) -> AbstractContextManager[object]:
        """Return what surrounds the search in storage and embedder, in the context in which it runs."""

    def calling(self) -> AbstractContextManager[object]:
        """Return what surrounds the user's function, in the context in which it runs."""

    def end(self, watch: Watch, error: BaseException | None) -> None:
        """Take note that the call has ended, with the exception that it ended with, if any. Called once."""


class Watch:
    """The record of one call.

    Each phase takes one reading of the clock: it begins where the one before it ended.

    Attributes:
        started: when the call began, by `perf_counter`.
        lookup: the result, once it is known and until the call has ended.
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

    def looking(self) -> Surrounding:
        """Return what surrounds a search: a context manager."""
        return Surrounding(self._spans, "looking", self._on_failure)

    def calling(self) -> Surrounding:
        """Return what surrounds the user's function: a context manager that records it as the phase ``"call"``."""
        return Surrounding(self._spans, "calling", self._on_failure, self.mark)

    def end(self, error: BaseException | None = None) -> None:
        """Tell the spans that the call has ended."""
        spans, self._spans = self._spans, ()
        for span in spans:
            try:
                span.end(self, error)
            except Exception as failure:
                self._on_failure(failure)
        self.lookup = None  # which refers to this object


class Surrounding:
    """What the spans of a call put around a part of it.

    Args:
        spans: the spans.
        method: their method that returns a context manager.
        on_failure: logs what they raise.
        mark: called with ``""`` when the part begins, with ``"call"`` when it ends.

    Attributes:
        error: what the function raised, where that is handed on as a value.
    """

    __slots__ = ("_entered", "_mark", "_method", "_on_failure", "_spans", "error")

    def __init__(
        self,
        spans: Sequence[Span],
        method: str,
        on_failure: OnFailure,
        mark: Callable[[str], None] | None = None,
    ) -> None:
        self._spans = spans
        self._method = method
        self._on_failure = on_failure
        self._mark = mark
        self._entered: list[AbstractContextManager[object]] = []
        self.error: BaseException | None = None

    def __enter__(self) -> Surrounding:
        for span in self._spans:
            try:
                entered: AbstractContextManager[object] = getattr(span, self._method)()
                entered.__enter__()
            except Exception as failure:
                self._on_failure(failure)
            else:
                self._entered.append(entered)
        if self._mark is not None:
            self._mark("")
        return self

    def around(self, ran: R) -> R:
        """Take note of what the function raised, and return `ran`.

        The caller's frame must not hold it: the exception's traceback may refer to that frame.
        """
        self.error = ran.error
        return ran

    def __exit__(self, _: object, raised: BaseException | None, __: object) -> None:
        if self._mark is not None:
            self._mark("call")
        error, self.error = raised or self.error, None
        while self._entered:
            try:
                self._entered.pop().__exit__(None if error is None else type(error), error, None)
            except Exception as failure:
                self._on_failure(failure)
