"""Report a finished call: counters, `last_lookup`, contexts, `on_event`."""

from __future__ import annotations

import weakref
from time import perf_counter
from typing import TYPE_CHECKING, Any

from semantic_llm_cache.calls import lookup as lookups
from semantic_llm_cache.calls.context import overrides
from semantic_llm_cache.calls.identity import Place
from semantic_llm_cache.calls.lookup import Lookup
from semantic_llm_cache.calls.refusals import NotStored, because
from semantic_llm_cache.engine.access import Access, Storage
from semantic_llm_cache.engine.call import Call
from semantic_llm_cache.engine.listening import Hook
from semantic_llm_cache.engine.notices import Notices
from semantic_llm_cache.engine.options import Options
from semantic_llm_cache.engine.outcome import NOTHING_USED, Found, Used
from semantic_llm_cache.engine.state import BackendState
from semantic_llm_cache.keys.request import Request
from semantic_llm_cache.matching.decider import Decider
from semantic_llm_cache.metrics import counters as counting
from semantic_llm_cache.metrics.counters import CacheInfo, Counters
from semantic_llm_cache.redaction import describe

if TYPE_CHECKING:
    from semantic_llm_cache.metrics.learned import Clusters

__all__ = ["Reporter", "lookup_of_exact_hit", "note_category", "off_because"]


class Reporter:
    """The counters of one engine, and the records of its calls.

    Args:
        options: the engine's options.
        access: to the backend, whose state keeps the counts.
        decider: names what decides about near entries.
        notices: logs problems.
        hook: announces the calls.
        engine: a weak reference, kept in every `Lookup` so that feedback finds the engine.
    """

    def __init__(
        self,
        options: Options,
        access: Access,
        decider: Decider,
        notices: Notices,
        hook: Hook,
        engine: weakref.ref[Any],
    ) -> None:
        self._options = options
        self._access = access
        self._decider = decider
        self._notices = notices
        self._hook = hook
        self._engine = engine
        self._state: BackendState | None = None
        self._counters: dict[str, Counters] = {}
        self._closings: list[Any] = []

    # ------------------------------------------------------------------------ counters

    def counters(self, namespace: str | None = None) -> Counters:
        """Return this engine's counters of a namespace (default: its own), on the backend in use."""
        return self._counters_on(self._access.storage().state, namespace or self._options.namespace)

    def _counters_on(self, state: BackendState, name: str) -> Counters:
        if self._state is not state:
            self._begin(state)
        found = self._counters.get(name)
        if found is None:
            found = self._counters[name] = Counters(name)
            counting.register(found)
            state.counters.add(found)
            closing = weakref.finalize(self, _retire, found, state)
            closing.atexit = False
            self._closings.append(closing)
        return found

    def _begin(self, state: BackendState) -> None:
        """Switch the counters to another backend, as the default one may change at any time."""
        for close in self._closings:
            close()
        self._closings = []
        self._counters = {}
        self._state = state

    def all_counters(self) -> list[Counters]:
        """Return this engine's counters of all namespaces."""
        return list(self._counters.values())

    def info(self) -> CacheInfo:
        """Return the counts of hits and misses of this engine, all namespaces together."""
        total = Counters(self._options.namespace)
        for counters in self._counters.values():
            total.add(counters)
        return total.info()

    # ------------------------------------------------------------------------ calls that have ended

    def finish(
        self,
        call: Call,
        found: Found,
        *,
        stored: bool = False,
        saved: Used = NOTHING_USED,
        refused: str = "",
    ) -> None:
        """Count and report a finished call.

        Args:
            call: the finished call.
            found: its result.
            stored: whether a fresh answer was stored.
            saved: what the call that this one joined has used.
            refused: why a fresh answer was not stored.
        """
        lookup = self.lookup(call, found)
        lookup.stored, lookup.stored_reason = stored, refused
        note_category(lookup, call)
        if lookup.outcome == "coalesced":
            lookup.saved_usd = saved.cost_usd
            if call.watch is not None:
                call.watch.tokens = (saved.input_tokens, saved.output_tokens)
        self._learn_cluster(lookup, found)
        self.count(lookup)
        self.announce(lookup)

    def finish_failed(self, call: Call, found: Found, error: BaseException) -> None:
        """Do `finish` for a call that raised. A cancelled or interrupted call is not counted."""
        if isinstance(error, Exception):
            if found.outcome != "error":
                found.reason = f"the function raised {type(error).__name__}"
            elif not found.reason:
                found.reason = describe(error)
            self.finish(call, found, refused=_refusal_of(found, error))

    def finish_shadow(self, lookup: Lookup, found: Found) -> None:
        """Count a call made in shadow mode, and report it."""
        self._learn_cluster(lookup, found)
        self._count_shadow(lookup)
        self.announce(lookup)

    def begin_shadow(self, lookup: Lookup, found: Found) -> list[Lookup]:
        """Count a call made in shadow mode whose answers are still to be compared; return its records.

        `end_shadow` takes them. `on_event` is called then, once, with the result.
        """
        self._learn_cluster(lookup, found)
        self._count_shadow(lookup)
        lookups.remember(lookup)
        context = overrides.get()
        if context is None:
            return [lookup]
        copy = lookup.without_response()
        context.record(copy)
        return [lookup, copy]

    def end_shadow(self, records: list[Lookup], right: bool | None) -> None:
        """Report whether the cache would have been right; None if that is unknown."""
        for record in records:
            record.would_be_right = right
        self._count_judged(records[0])
        if right is not None:
            _clusters_of(records[0].namespace).judge(records[0].key, right)
        self.send_event(records[0])

    def _count_shadow(self, lookup: Lookup) -> None:
        counters = self.counters(lookup.namespace)
        counters.misses += 1
        counters.miss_times.append(lookup.duration_ms)
        counters.shadow_requests += 1
        if lookup.would in ("exact", "near"):
            counters.shadow_hits += 1
            self._count_judged(lookup)

    def _count_judged(self, lookup: Lookup) -> None:
        if lookup.would_be_right is not None:
            counters = self.counters(lookup.namespace)
            counters.shadow_judged += 1
            counters.shadow_wrong += not lookup.would_be_right

    def bypassed(self, namespace: str | None = None, reason: str = "") -> None:
        """Count a call that bypasses the cache, and report it; without a reason, caching was off."""
        name = namespace or self._options.namespace
        self.counters(name).bypassed += 1
        refused = reason or because("bypass", "caching is off")
        why = refused.partition(": ")[2]
        self.announce(Lookup("bypass", why, namespace=name, stored_reason=refused))

    def bypassed_by(self, call: Call) -> None:
        """Do `bypassed` for a call whose settings say so."""
        why = off_because(call)
        self.counters(call.request.namespace).bypassed += 1
        lookup = Lookup(
            "bypass",
            why,
            namespace=call.request.namespace,
            stored_reason=because("bypass", why),
            category=call.settings.category,
            _watch=call.watch,
        )
        if call.watch is not None:
            call.watch.lookup = lookup
        self.announce(lookup)

    def count_feedback(self, namespace: str, right: bool, key: str | None = None) -> None:
        """Count a report about a hit; `key` is that of the request if it was a near hit."""
        counters = self.counters(namespace)
        if key is not None:
            _clusters_of(namespace).judge(key, right)
        if right:
            counters.reported_right += 1
        else:
            counters.reported_wrong += 1
        storage = self._access.storage()
        if not storage.backend.in_process:
            storage.state.schedule()

    def count(self, lookup: Lookup) -> None:
        """Count a lookup."""
        storage = self._access.storage()
        counters = self._counters_on(storage.state, lookup.namespace)
        outcome = lookup.outcome
        if lookup.hit:
            if outcome == "near":
                storage.state.note_near(lookup)
            setattr(counters, outcome, getattr(counters, outcome) + 1)
            counters.saved_ms += lookup.saved_ms
            counters.saved_usd += lookup.saved_usd
            counters.hit_times.append(lookup.duration_ms)
            if lookup.entry_key is not None:
                self._count_use(storage, lookup.entry_key)
        elif outcome == "bypass":
            counters.bypassed += 1
        else:
            counters.misses += 1
            counters.miss_times.append(lookup.duration_ms)
            if outcome == "error":
                counters.errors += 1
        if not storage.backend.in_process:
            storage.state.schedule()

    def _count_use(self, storage: Storage, key: str) -> None:
        """Count a hit of an entry."""
        now = self._access.clock()
        if storage.backend.in_process:
            entry = storage.backend.peek(key)
            if entry is not None:
                entry.hit_count += 1
                entry.last_accessed = now
        else:
            storage.state.note_hit(key, now)

    def _learn_cluster(self, lookup: Lookup, found: Found) -> None:
        """Add a call whose prompt was embedded to the clusters of its namespace."""
        outcome = lookup.would or lookup.outcome
        if found.vector is None or outcome not in ("near", "miss"):
            return
        clusters = _clusters_of(lookup.namespace)
        clusters.add(found.vector, found.embedder, lookup.prompt, lookup.key, outcome == "near")
        if lookup.would_be_right is not None:
            clusters.judge(lookup.key, lookup.would_be_right)
        storage = self._access.storage()
        if not storage.backend.in_process:
            from semantic_llm_cache.metrics.learned import state_name

            name = state_name(lookup.namespace)
            storage.state.policies[name] = clusters
            storage.state.policy_changed(name, at_close=not clusters.due())

    # ------------------------------------------------------------------------ telling

    def announce(self, lookup: Lookup) -> None:
        """Report to `last_lookup`, to the contexts around the call, and to `on_event`."""
        lookups.remember(lookup)
        self._notices.refused(lookup.stored_reason)
        context = overrides.get()
        if context is not None:
            context.record(lookup.without_response())
        self.send_event(lookup)

    def send_event(self, lookup: Lookup) -> None:
        """Announce a call to `on_event` and the listeners."""
        self._hook.send(lookup)

    def record_quick(self, category: str | None = None) -> None:
        """Report an exact hit that `Quick` has just answered to the `CacheContext`s, with the category they give."""
        context = overrides.get()
        if context is not None:
            lookup = lookups.last_lookup()
            assert lookup is not None
            lookup.category = category or lookup.category
            context.record(lookup)

    # ------------------------------------------------------------------------ records

    def lookup(self, call: Call, found: Found) -> Lookup:
        """Return the record of a call that ends now with what was found."""
        took = (perf_counter() - call.started) * 1000
        similarity = call.settings.similarity
        rule = self._options.category_rules.get(call.settings.category or "")
        own = None if rule is None else rule.max_error
        policy = self._decider.name(similarity, own) if similarity < 1 else "exact"
        request, entry = call.request, found.entry
        result = Lookup(
            found.outcome,
            found.reason,
            similarity=found.similarity,
            matched_prompt=found.nearest_prompt,
            policy=policy,
            key=request.key,
            entry_key=found.entry_key,
            namespace=request.namespace,
            scope=request.scope_hash,
            prompt=request.text,
            duration_ms=took,
            category=call.settings.category,
            # Of what was decided, only this: the candidates would keep their answers alive.
            handle=(self._engine, None if found.choice is None else found.choice.decision),
            _place=found.place,
            _watch=call.watch,
        )
        if entry is not None:
            result.matched_prompt = entry.prompt
            result.age = max(0.0, self._access.clock() - entry.created_at)
            result.saved_ms = entry.duration_ms - took
            result.saved_usd = entry.cost_usd
        if call.watch is not None:
            call.watch.lookup = result
            if entry is not None:
                call.watch.tokens = (entry.input_tokens, entry.output_tokens)
        return result


def lookup_of_exact_hit(engine: weakref.ref[Any], facts: tuple[Any, ...]) -> Lookup:
    """Return the record of an exact hit that `Quick` has answered.

    Args:
        engine: kept in the record, for feedback.
        facts: what `Quick` keeps of the hit: first what is not needed here; the request; prompt, `created_at`,
            `duration_ms` and `cost_usd` of the entry served; the time, in wall seconds; the duration in milliseconds.
    """
    request: Request
    _, request, prompt, created_at, duration_ms, cost_usd, now, took = facts
    return Lookup(
        "exact",
        "same text, same scope",
        similarity=1.0,
        matched_prompt=prompt,
        age=max(0.0, now - created_at),
        policy="exact",
        key=request.key,
        entry_key=request.key,
        namespace=request.namespace,
        scope=request.scope_hash,
        prompt=request.text,
        duration_ms=took,
        saved_ms=duration_ms - took,
        saved_usd=cost_usd,
        category=_category_of(engine, request),
        handle=(engine, None),
        _place=Place(request.key, created_at),
    )


def _category_of(engine: weakref.ref[Any], request: Request) -> str | None:
    """Return the category of an exact hit, which is only found when somebody reads the record."""
    found = engine()
    name: str | None = None if found is None else found.categories.name_of(request.text)
    return name


def note_category(lookup: Lookup, call: Call) -> None:
    """Add to the reason what the category has changed in how the answer was stored."""
    settings = call.settings
    if not settings.own_ttl:
        return
    if lookup.stored and isinstance(settings.ttl, float):
        lookup.reason += f"; {settings.category}: stored for {settings.ttl:g} s"
    elif lookup.stored and settings.ttl is None:
        lookup.reason += f"; {settings.category}: stored for ever"
    elif lookup.stored_reason and settings.ttl == 0:
        lookup.reason += f"; {settings.category}: not stored"


def off_because(call: Call) -> str:
    """Return why a call bypasses the cache."""
    settings = call.settings
    return f"caching is off for {settings.category}" if settings.ruled else "caching is off"


def _refusal_of(found: Found, error: Exception) -> str:
    """Return why the answer of a call that raised was not stored: there is none, or the cache has failed."""
    if isinstance(error, NotStored):
        return error.reason
    return because("backend" if found.outcome == "error" else "call-failed", found.reason)


def _clusters_of(namespace: str) -> Clusters:
    from semantic_llm_cache.metrics.learned import clusters_of  # only prompts that are embedded need it

    return clusters_of(namespace)


def _retire(counters: Counters, state: BackendState) -> None:
    state.owe(counters)
    counting.retire(counters)
