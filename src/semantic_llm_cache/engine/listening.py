"""The event hook: `on_event=`, and the listeners behind metrics, traces and logs.

Every call that ends is announced in one place, `Hook`. It calls the engine's own `on_event=`, then the listeners of the
engine and those of the process. A listener gets the same `Lookup`, and with it how long each phase took and which
tokens a hit saved. What a listener raises is logged once and never reaches the caller.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from semantic_llm_cache.calls import lookup as lookups
from semantic_llm_cache.calls.lookup import Lookup
from semantic_llm_cache.engine.call import Call
from semantic_llm_cache.engine.notices import Notices
from semantic_llm_cache.engine.outcome import Failure
from semantic_llm_cache.redaction import describe
from semantic_llm_cache.runtime.fork import fork_safe_lock

if TYPE_CHECKING:
    from collections.abc import Generator

    from semantic_llm_cache.config import CacheEntry
    from semantic_llm_cache.engine.watch import Phase, Span, Watch

__all__ = ["EVERYWHERE", "Audience", "Event", "Hook", "Listener", "watched"]


class Event:
    """A call that has ended.

    Attributes:
        lookup: what happened and why, as `on_event=` gets it.
        tokens: input and output tokens of the call that a hit saved; (0, 0) for no hit.
        phases: what took how long, in order; empty for an exact hit that this process holds.
    """

    __slots__ = ("lookup", "phases", "tokens")

    def __init__(self, lookup: Lookup, tokens: tuple[int, int], phases: list[Phase]) -> None:
        self.lookup = lookup
        self.tokens = tokens
        self.phases = phases


class Listener:
    """Gets every call of the engines that it listens to. Any thread may call its methods, which must be quick."""

    def ended(self, event: Event) -> None:
        """Take note of a call that has ended. In shadow mode, once its answer has been judged."""
        raise NotImplementedError

    def exact_hit(self, namespace: str, entry: CacheEntry, took_ms: float) -> None:
        """Take note of an exact hit that this process holds: the fast path, without a `Lookup` made for it.

        Args:
            namespace: of the request.
            entry: the entry served; not to be changed or kept.
            took_ms: how long it took.
        """
        lookup = lookups.last_lookup()
        if lookup is not None:
            self.ended(Event(lookup, (entry.input_tokens, entry.output_tokens), []))

    def begin(self, call: Call) -> Span | None:
        """Return what to keep of a call that begins now, in the caller's context, or None.

        An exact hit that this process holds does not begin; it only ends.
        """
        return None


_lock = fork_safe_lock()


class Audience:
    """Listeners, and the engines that they listen to."""

    def __init__(self) -> None:
        self.listeners: tuple[Listener, ...] = ()
        self._hooks: weakref.WeakSet[Hook] = weakref.WeakSet()

    def join(self, hook: Hook) -> None:
        """Have the listeners listen to an engine too."""
        with _lock:
            self._hooks.add(hook)

    def add(self, listener: Listener) -> None:
        """Add a listener, to the engines there are and to those to come."""
        self._change(lambda now: (*now, listener))

    def remove(self, listener: Listener) -> None:
        """Remove a listener. Does nothing if it is not there."""
        self._change(lambda now: tuple(one for one in now if one is not listener))

    def _change(self, change: Callable[[tuple[Listener, ...]], tuple[Listener, ...]]) -> None:
        with _lock:
            self.listeners = change(self.listeners)
            hooks = list(self._hooks)
        for hook in hooks:
            hook.refresh()


EVERYWHERE = Audience()
"""Listens to all engines of the process."""


class Hook:
    """Announces the calls of one engine.

    Args:
        on_event: the option of that name.
        notices: logs problems.
        own: the listeners of this engine and of those derived from it.

    Attributes:
        listeners: those of the engine and of the process, each once.
    """

    def __init__(self, on_event: Callable[[Lookup], object] | None, notices: Notices, own: Audience) -> None:
        self.own = own
        self.listeners: tuple[Listener, ...] = ()
        self._on_event = on_event
        self._notices = notices
        self._quick: Callable[[], Any] = lambda: None

    def open(self, quick: Any) -> None:
        """Begin to announce the hits of `quick`: sets its `tell` whenever somebody listens."""
        self._quick = weakref.ref(quick)
        self.own.join(self)
        EVERYWHERE.join(self)
        self.refresh()

    def follow(self, other: Hook) -> None:
        """Share the listeners of another engine, which this one is derived from."""
        self.own = other.own
        self.own.join(self)
        self.refresh()

    def refresh(self) -> None:
        """Take note of a change among the listeners."""
        with _lock:
            self.listeners = tuple(dict.fromkeys((*self.own.listeners, *EVERYWHERE.listeners)))
            quick = self._quick()
            if quick is not None:
                quick.tell = self._hit if self.listeners or self._on_event is not None else None

    # ------------------------------------------------------------------------------ calls that begin

    def begin(self, call: Call) -> Watch | None:
        """Record a call from now on, in `call.watch`, if anybody listens."""
        if not self.listeners:
            return None
        spans = []
        for listener in self.listeners:
            try:
                span = listener.begin(call)
            except Exception as error:
                self._failed(error)
            else:
                if span is not None:
                    spans.append(span)
        from semantic_llm_cache.engine.watch import Watch

        call.watch = Watch(spans, self._failed)
        return call.watch

    def _failed(self, error: BaseException) -> None:
        self._notices.log_once("telemetry", f"a listener raised {describe(error)}")

    # ------------------------------------------------------------------------------ calls that have ended

    def send(self, lookup: Lookup) -> None:
        """Announce a call that has ended."""
        if self._on_event is None and not self.listeners:
            return
        record = lookups.latest()
        self._call_user(lookup)
        if self.listeners:
            event = _event_of(lookup)
            for listener in self.listeners:
                try:
                    listener.ended(event)
                except Exception as error:
                    self._failed(error)
        if lookups.latest() is not record:  # one of them made a cached call itself
            lookups.remember(lookup)

    def _hit(self, namespace: str, entry: CacheEntry, took_ms: float) -> None:
        """Announce an exact hit that `Quick` has just answered."""
        record = lookups.latest()
        if self._on_event is not None:
            lookup = lookups.last_lookup()
            assert lookup is not None
            self._call_user(lookup)
            if lookups.latest() is not record:
                lookups.remember(lookup)
        for listener in self.listeners:
            try:
                listener.exact_hit(namespace, entry, took_ms)
            except Exception as error:
                self._failed(error)

    def _call_user(self, lookup: Lookup) -> None:
        if self._on_event is not None:
            try:
                self._on_event(lookup)
            except Exception as error:
                self._notices.log_once("on_event", f"on_event raised {describe(error)}")


def _event_of(lookup: Lookup) -> Event:
    watch = lookup._watch
    return Event(lookup, (0, 0), []) if watch is None else Event(lookup, watch.tokens, watch.phases)


def watched(steps: Generator[Any, Any, Any], watch: Watch) -> Generator[Any, Any, Any]:
    """Run steps, and end the spans of their call with them: also if they raise, and if the caller leaves."""
    try:
        given = yield from steps
    except BaseException as error:
        watch.end(error)
        raise
    watch.end(given.error if type(given) is Failure else None)
    return given
