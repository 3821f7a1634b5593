"""The categories of an engine's prompts, and the settings that come with them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from semantic_llm_cache.calls.categories import (
    CUSTOM,
    TIME_BOUND,
    CategoryRule,
    check_category,
    read_rule,
)
from semantic_llm_cache.engine.call import Call
from semantic_llm_cache.engine.notices import Notices
from semantic_llm_cache.engine.options import Options
from semantic_llm_cache.redaction import describe

__all__ = ["Categories"]

_NO_RULE = CategoryRule()


class Categories:
    """Finds the category of a prompt, and applies its settings to a call.

    Args:
        options: the engine's options.
        notices: logs problems.

    Raises:
        ValueError: a category has settings that do not fit the cache's.
    """

    def __init__(self, options: Options, notices: Notices) -> None:
        self._given = options.category
        self._notices = notices
        self.rules = rules = options.category_rules
        self._off = not rules and self._given is None
        self._only_time_bound = self._given is None and rules.keys() <= {TIME_BOUND}
        self.switched_off = any(not rule.changes.get("enabled", True) for rule in rules.values())
        self.budgets = {name: rule for name, rule in rules.items() if rule.max_error is not None}
        bounded = options.max_error is not None or options.max_error_per_hit is not None
        for name, rule in rules.items():
            if rule.max_error is not None and not bounded:
                raise ValueError(
                    f"categories[{name!r}] has max_error=, but the cache has none: give it max_error= for all others"
                )
            if bounded and rule.max_error is None and "similarity" in rule.changes:
                raise ValueError(
                    f"categories[{name!r}] has similarity=, but the cache has an error budget, which decides alone: "
                    "give the category a max_error= of its own, of which similarity= is then the minimum"
                )

    @property
    def may_be_near(self) -> bool:
        """Whether a category has near matching of its own."""
        return any(rule.changes.get("similarity", 1.0) < 1 for rule in self.rules.values())

    # ------------------------------------------------------------------------ finding

    def name_of(self, text: str, given: str | None = None) -> str | None:
        """Return the category of a prompt, None for no particular one. `given` is what a context says."""
        return given if given is not None else self._found(text)[0]

    def longest(self, text: str, ttl: float | None) -> float | None:
        """Return how long an answer may be kept under a prompt that `ttl` was not made for: 0 is not at all."""
        rule = self._found(text)[1]
        most = rule.changes.get("ttl", rule.at_most)
        if not isinstance(most, float):
            return ttl
        return most if ttl is None else min(ttl, most)

    def budget_of(self, text: str, given: str | None = None) -> str | None:
        """Return the category of a prompt if it has an error budget of its own, else None."""
        name = self.name_of(text, given) if self.budgets else None
        return name if name in self.budgets else None

    def _found(self, text: str) -> tuple[str | None, CategoryRule]:
        if self._off:
            return None, _NO_RULE
        from semantic_llm_cache.matching.categories import category_of, is_time_bound

        if self._only_time_bound:
            return (TIME_BOUND, self.rules[TIME_BOUND]) if is_time_bound(text) else (None, _NO_RULE)
        name = self._given
        if callable(name):
            name, rule = self._asked(text)
            if rule is not None:
                return name, rule
        if name is None:
            name = category_of(text)
        return name, self.rules.get(name, _NO_RULE)

    def _asked(self, text: str) -> tuple[str | None, CategoryRule | None]:
        """Return what the user's callable says: a name, or settings."""
        given: Any = None
        try:
            given = self._given(text)
            if given is None:
                return None, None
            if isinstance(given, Mapping):
                rule = read_rule(given, "category")
                if rule.max_error is not None:
                    raise ValueError("max_error= belongs to a category with a name: put it into categories=")
                return CUSTOM, rule
            return check_category(given), None
        except Exception as error:
            if inspect.iscoroutine(given):
                given.close()
            wrong = given is not None and not isinstance(given, (str, Mapping))
            kind = type(given).__name__
            said = f"returned a value of type {kind}, which is no name" if wrong else f"raised {describe(error)}"
            self._notices.log_once("category", f"category= {said}: the built-in categories are used")
            return None, None

    # ------------------------------------------------------------------------ applying

    def apply(self, call: Call) -> None:
        """Give a call the settings of its category, once."""
        settings = call.settings
        if settings.ruled or not settings.enabled or (self._off and settings.category is None):
            return
        if settings.category is not None:
            name, rule = settings.category, self.rules.get(settings.category, _NO_RULE)
        else:
            found, rule = self._found(call.request.text)
            if found is None:
                return
            name = found
        changed: dict[str, Any] = {key: value for key, value in rule.changes.items() if key not in settings.fixed}
        if rule.at_most is not None and "ttl" not in settings.fixed and not callable(settings.ttl):
            # A callable has seen the answer, so it decides alone.
            if settings.ttl is None or settings.ttl > rule.at_most:
                changed["ttl"] = rule.at_most
        ttl = changed.get("ttl")
        changed["most_age"] = ttl if isinstance(ttl, float) else None
        call.settings = replace(settings, **changed, category=name, ruled=True, own_ttl="ttl" in changed)
