"""Which cache answers a request: one `WireCache` for each set of rules that apply together."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from semantic_llm_cache.engine.engine import Engine
from semantic_llm_cache.wire.cache import WireCache
from semantic_llm_cache.wire.recent import Recent

__all__ = ["MOST_COMBINED", "UNRULED", "Asker", "Doors", "Rule"]

_log = logging.getLogger("semantic_llm_cache")

MOST_COMBINED = 1000
"""Combinations of two or more rules that have a cache of their own. A cache takes 9 KB and a millisecond, and n rules
have 2^n combinations: which of them apply may depend on the model, which callers name."""
UNRULED = "proxy"
"""The name of the cache for requests that match no rule."""
_PARSED = 2048
"""Requests whose parsed form is kept, in each of two generations, for all caches together."""
_MOST_KNOWN = 4096
_LONGEST_KNOWN = 256
"""Characters of a model's and a tenant's name together. Longer ones come from the caller, and are not remembered."""
_BUDGETS = frozenset({"max_error", "max_error_per_hit"})


@dataclass(frozen=True)
class Asker:
    """What rules are chosen by.

    Attributes:
        upstream: its name.
        route: the name of the wire format, such as ``"openai.chat"``.
        model: as the request's body names it, ``""`` for none.
        tenant: its label.
    """

    upstream: str
    route: str
    model: str
    tenant: str


@dataclass(frozen=True)
class Rule:
    """Other options for some requests.

    Attributes:
        name: of the rule.
        match: patterns by the attribute of `Asker` that they are compared with: ``{"model": "gpt-4*"}``.
        options: of `WireCache`; ``{"enabled": False}`` caches nothing.
    """

    name: str
    match: Mapping[str, str]
    options: Mapping[str, Any]

    def applies(self, asker: Asker) -> bool:
        """Return whether the rule is for this request. Patterns are case-sensitive, with ``*``, ``?`` and ``[...]``."""
        return all(fnmatchcase(getattr(asker, part), pattern) for part, pattern in self.match.items())


class Doors:
    """Finds the cache for a request. All share one backend, and what is in flight.

    Args:
        engine: with the options that hold for all requests.
        options: of `WireCache`, for all requests.
        rules: in this order applied; a later one prevails.
        watch: called with the engine of each door that is made, and its name: ``"proxy"``, or the names of its rules.
    """

    def __init__(
        self,
        engine: Engine,
        options: Mapping[str, Any],
        rules: Sequence[Rule] = (),
        watch: Callable[[Engine, str], object] = lambda engine, name: None,
    ) -> None:
        self.engine = engine
        self._watch = watch
        self._options = options
        self._rules = tuple(rules)
        self._made: dict[tuple[int, ...], WireCache] = {}
        self._combined = 0
        self._closed: WireCache | None = None
        self._recent = Recent(_PARSED)
        self._known: dict[Asker, WireCache] = {}
        self._matched = frozenset(part for rule in self._rules for part in rule.match)
        plain = self._door(())
        self._only = None if self._rules else plain
        for i in range(len(self._rules)):
            self._door((i,))  # now, so that its settings can be seen and changed before its first request

    @property
    def engines(self) -> list[Engine]:
        """The engines in use."""
        return [self.engine, *(door.engine for door in self._made.values())]

    @property
    def by_model(self) -> bool:
        """Whether a rule depends on the model."""
        return "model" in self._matched

    def find(self, upstream: str, route: str, tenant: Callable[[], str], model: str) -> WireCache:
        """Return the cache for a request.

        Args:
            upstream, route: see `Asker`.
            tenant: returns its label; called only where a rule depends on it.
            model: as the body names it; not read where no rule depends on it.
        """
        if self._only is not None:
            return self._only
        asker = Asker(upstream, route, model if self.by_model else "", tenant() if "tenant" in self._matched else "")
        found = self._known.get(asker)
        if found is None:
            found = self._door(tuple(i for i, rule in enumerate(self._rules) if rule.applies(asker)))
            if len(asker.model) + len(asker.tenant) <= _LONGEST_KNOWN:
                if len(self._known) >= _MOST_KNOWN:
                    self._known.clear()
                self._known[asker] = found
        return found

    def _door(self, applying: tuple[int, ...]) -> WireCache:
        made = self._made.get(applying)
        if made is None:
            if len(applying) > 1:
                if self._combined >= MOST_COMBINED:
                    return self._without_cache()
                self._combined += 1
            options = dict(self._options)
            for i in applying:
                rule = self._rules[i]
                options.update(rule.options)
                if _BUDGETS & rule.options.keys() and "namespace" not in rule.options:
                    # What an error budget has learned is kept by namespace.
                    options["namespace"] = f"{self.engine.namespace}/{rule.name}"
            made = self._made[applying] = WireCache(self.engine, **options)
            name = " + ".join(self._rules[i].name for i in applying) or UNRULED
            made.share_recent(self._recent, str(applying))
            self._watch(made.engine, name)
        return made

    def _without_cache(self) -> WireCache:
        """Return what passes all requests on."""
        if self._closed is None:
            _log.warning(
                "more than %s combinations of rules apply together: requests that match others are passed on uncached. "
                "Give rules that overlap less",
                f"{MOST_COMBINED:,}",
            )
            self._closed = WireCache(self.engine, enabled=False)
        return self._closed
