"""`Call`: one call on its way through the cache."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

from semantic_llm_cache.calls.evidence import MASKED_TAG, evidence_tags
from semantic_llm_cache.calls.settings import CallSettings
from semantic_llm_cache.engine.outcome import Found
from semantic_llm_cache.engine.variables import Changes
from semantic_llm_cache.keys.request import Request

if TYPE_CHECKING:
    from semantic_llm_cache.engine.watch import Watch

__all__ = ["Call"]


class Call:
    """One call on its way through the cache.

    Attributes:
        request: the question.
        settings: the settings of this call.
        function: makes the answer; takes no arguments. None if nothing is called.
        plain: True for plain (not async) code, which waits in its own thread; False on an event loop.
        started: when the call began, by `perf_counter`.
        found: the result of the last search; not set before the first search.
        changes: the context variables that the function has set in a task of its own.
        watch: the record of its phases; None if nobody listens.
    """

    __slots__ = ("changes", "found", "function", "plain", "request", "settings", "started", "watch")

    found: Found

    def __init__(
        self,
        request: Request,
        settings: CallSettings,
        function: Callable[[], Any] | None = None,
        *,
        plain: bool = False,
    ) -> None:
        if request.redacted:  # texts that are equal once masked are different questions
            settings = replace(settings, similarity=1.0, fixed=settings.fixed | {"similarity"})
        self.request = request
        self.settings = settings
        self.function = function
        self.plain = plain
        self.started = perf_counter()
        self.changes: Changes = ()
        self.watch: Watch | None = None

    @property
    def needs_vector(self) -> bool:
        """Whether the request is embedded: near matching is on and there is a text."""
        return self.settings.similarity < 1 and bool(self.request.text)

    @property
    def flight_key(self) -> str:
        """The key under which calls share one call in flight: only those whose answers rest on the same."""
        evidence = self.settings.evidence
        return self.request.key if evidence is None else f"{self.request.key}:{evidence.digest}"

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that the answer is stored with: its tags, what it rests on, and whether the prompt is masked."""
        evidence, tags = self.settings.evidence, (*self.settings.own_tags, *self.settings.tags)
        if self.request.redacted:
            tags = (*tags, MASKED_TAG)
        return tags if evidence is None else (*tags, *evidence_tags(evidence.versions))

    @property
    def is_labelled(self) -> bool:
        """Whether the answer gets labels that were given, by tags or by what it rests on."""
        evidence, tags = self.settings.evidence, self.settings.tags
        return bool(tags) or (evidence is not None and bool(evidence.versions))

    @property
    def flight_scope(self) -> str:
        """The scope within which calls of one meaning share one call in flight."""
        evidence = self.settings.evidence
        return self.request.scope_hash if evidence is None else f"{self.request.scope_hash}:{evidence.digest}"

    def again(self, function: Callable[[], Any] | None = None) -> Call:
        """Return the same call with nothing found, and another function if one is given."""
        made = Call(self.request, self.settings, function or self.function, plain=self.plain)
        made.found = Found("miss", "")
        return made

    def exact(self) -> Call:
        """Return the same call, limited to equal text and with nothing found."""
        made = self.again()
        made.settings = replace(self.settings, similarity=1.0)
        return made

    def rechecked(self) -> Call:
        """Return `exact`, but ask for the versions of what the answer rests on again."""
        made, evidence = self.exact(), self.settings.evidence
        if evidence is not None:
            made.settings = replace(made.settings, evidence=evidence.without_learned())
        return made
