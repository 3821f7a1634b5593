"""Shadow mode: make every call, and compare its answer with what the cache would have answered."""

from __future__ import annotations

from typing import Any

from semantic_llm_cache.calls import lookup as lookups
from semantic_llm_cache.calls.lookup import Lookup
from semantic_llm_cache.calls.refusals import because
from semantic_llm_cache.engine.admission import Admission
from semantic_llm_cache.engine.call import Call
from semantic_llm_cache.engine.driving import Do, Run, Steps
from semantic_llm_cache.engine.learning import Learning, snapshot
from semantic_llm_cache.engine.outcome import Failure
from semantic_llm_cache.engine.reporting import Reporter, note_category
from semantic_llm_cache.engine.search import Search
from semantic_llm_cache.runtime import background

__all__ = ["Shadow"]


class Shadow:
    """Makes every call of one engine and only records what the cache would do.

    Answers that are not plainly equal are compared after the caller has its own: `would_be_right` and `on_event` come
    then.

    Args:
        search: finds what the cache would have answered.
        admission: stores what the cache would have stored.
        learning: compares answers, and learns.
        reporter: counts.
    """

    def __init__(self, search: Search, admission: Admission, learning: Learning, reporter: Reporter) -> None:
        self._search = search
        self._admission = admission
        self._learning = learning
        self._reporter = reporter

    def answer(self, call: Call) -> Steps:
        """Always call; record what the cache would have answered, and whether that agrees."""
        yield Do(lambda: self._search.find(call))
        assert call.function is not None
        ran = yield Run(call.function, call.watch)
        if ran.error is not None:
            return Failure(ran.error)
        yield from self.compare(call, ran.value, ran.duration_ms)
        return ran.value

    def compare(self, call: Call, value: Any, duration_ms: float) -> Steps:
        """Compare a fresh answer with what `call.found` holds; count the call and report it."""
        lookup = yield Do(lambda: self._ended(call, value, duration_ms))
        lookups.remember(lookup)  # here too, as the background loop has its own context

    async def _ended(self, call: Call, value: Any, duration_ms: float) -> Lookup:
        found = call.found
        would, right, stored, later = found.outcome, None, False, False
        refused = because("already-stored")
        if would in ("exact", "near"):
            assert found.entry is not None
            if self._learning.same_at_once(value, found.entry.response):
                right = True
                if found.choice is not None:
                    await self._learning.observe(call, found.choice, 1.0)
            else:
                later = True
        elif would == "miss":
            # Store only what the cache would have stored, so that it has the hits it would have had.
            fresh = await self._admission.weigh(call, value, duration_ms)
            outcome = await self._admission.admit(call, fresh)
            stored, refused = outcome.stored, outcome.refused
        elif would == "error":
            refused = because("backend", found.reason)
        lookup = self._reporter.lookup(call, found)
        lookup.outcome, lookup.would, lookup.would_be_right = "miss", would, right
        lookup.saved_ms = lookup.saved_usd = 0.0
        lookup.stored, lookup.stored_reason = stored, refused
        note_category(lookup, call)
        if not stored:
            lookup._place = None  # the caller got a fresh answer, not the one that `found` names
        if later:
            background.later(self._judge(call, snapshot(value), self._reporter.begin_shadow(lookup, found)))
        else:
            self._reporter.finish_shadow(lookup, found)
        return lookup

    async def _judge(self, call: Call, value: Any, records: list[Lookup]) -> None:
        """Compare the answers after the caller has its own, since a judge may take seconds; then report."""
        found, right = call.found, None
        assert found.entry is not None
        try:
            same = await self._learning.compare(call.request, value, found.entry.response, call.settings.target)
            if same is not None:
                right = same >= 0.5
                if found.choice is not None:
                    await self._learning.observe(call, found.choice, same)
        finally:
            self._reporter.end_shadow(records, right)
