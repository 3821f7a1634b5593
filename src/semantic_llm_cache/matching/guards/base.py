"""Guards: the protocol, sets of guards, and how they are asked."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .residual import residual
from .text import Reading, read

__all__ = ["Guard", "GuardFeatures", "GuardSet", "Rule", "Veto"]

Guard = Callable[[str, str], "str | None"]
"""Called as `guard(prompt, candidate)`; returns why the two differ, or None for no opinion."""

_MOST_CONCERNS = 4096
_LONG = 120  # characters; below this there are not the forty words that `residual` asks for

_logger = logging.getLogger("semantic_llm_cache")


@dataclass(frozen=True)
class Veto:
    """A guard's finding that two prompts ask different things.

    Attributes:
        rule: the name of the rule, or the `__name__` of a user's callable.
        reason: why, as text, the new prompt's side first: "number 5 != 6".
    """

    rule: str
    reason: str

    def __str__(self) -> str:
        return self.reason


class Rule:
    """A built-in guard: a name and a comparison of two readings. Callable like any `Guard`.

    Args:
        name: its name.
        compare: returns why two prompts differ, or None.
        concerns: returns whether a prompt holds anything that the rule compares. It does not object to two prompts
            that hold nothing of the kind, so it need not be asked. None if that cannot be said of one prompt.
    """

    __slots__ = ("compare", "concerns", "name")

    def __init__(
        self,
        name: str,
        compare: Callable[[Reading, Reading], str | None],
        concerns: Callable[[Reading], object] | None = None,
    ) -> None:
        self.name = name
        self.compare = compare
        self.concerns = concerns

    def __call__(self, prompt: str, candidate: str) -> str | None:
        """Return why the two prompts differ, or None."""
        if prompt == candidate:
            return None
        for new, old in _views(prompt, candidate):
            reason = self.compare(new, old)
            if reason is not None:
                return reason
        return None

    def __repr__(self) -> str:
        return f"<guard rule {self.name!r}>"


def _views(prompt: str, candidate: str) -> list[tuple[Reading, Reading]]:
    """Return the readings to compare: the prompts, and the rest of long prompts without a shared passage.

    A passage that both prompts quote may contain both words of an opposite and any number, which hides that the
    instructions around it differ.
    """
    views = [(read(prompt), read(candidate))]
    if len(prompt) > _LONG and len(candidate) > _LONG:
        rest = residual(prompt, candidate)
        if rest is not None and rest[0] and rest[1]:
            views.append((read(rest[0]), read(rest[1])))
    return views


class GuardSet:
    """Guards in the order in which they are asked; the first to object decides.

    Made by `resolve_guards`. A user's callable that raises, or returns neither None nor a string,
    counts as an objection: a miss costs one call, a wrong answer costs the reader's trust. The failure is
    logged once for each callable.

    Example:
        >>> from semantic_llm_cache.matching.guards import resolve_guards
        >>> print(resolve_guards("default").check("5 miles in km", "6 miles in km"))
        number 5 miles != 6 miles
    """

    __slots__ = ("_by_concern", "_fact", "_failed", "_own", "_rules")

    def __init__(self, rules: Iterable[Rule], own: Iterable[tuple[str, Guard]] = ()) -> None:
        self._rules = tuple(rules)
        self._fact = f"concerns {','.join(rule.name for rule in self._rules)}"
        self._by_concern: dict[int, tuple[Rule, ...]] = {}
        self._own = tuple(own)
        self._failed: set[str] = set()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all guards in this set, in the order in which they are asked."""
        return tuple(r.name for r in self._rules) + tuple(name for name, _ in self._own)

    @property
    def built_in(self) -> GuardSet:
        """The built-in rules alone. Parts of prompts are shown to these only."""
        return GuardSet(self._rules)

    @property
    def own(self) -> GuardSet:
        """The callables of the user alone."""
        return GuardSet((), self._own)

    def __len__(self) -> int:
        return len(self._rules) + len(self._own)

    def __repr__(self) -> str:
        return f"GuardSet({', '.join(self.names)})"

    def check(self, prompt: str, candidate: str) -> Veto | None:
        """Return the first objection to answering `prompt` with the answer to `candidate`, or None."""
        if prompt == candidate:
            return None
        if self._rules:
            for new, old in _views(prompt, candidate):
                for rule in self._concerned(new, old):
                    reason = rule.compare(new, old)
                    if reason is not None:
                        return Veto(rule.name, reason)
        for name, guard in self._own:
            reason = self._ask(name, guard, prompt, candidate)
            if reason is not None:
                return Veto(name, reason)
        return None

    def _concerned(self, new: Reading, old: Reading) -> tuple[Rule, ...]:
        """Return the rules that may object to a pair, in their order."""
        concern = self._concern(new) | self._concern(old)
        found = self._by_concern.get(concern)
        if found is None:
            if len(self._by_concern) > _MOST_CONCERNS:
                self._by_concern.clear()
            found = self._by_concern[concern] = tuple(
                rule for place, rule in enumerate(self._rules) if rule.concerns is None or concern >> place & 1
            )
        return found

    def _concern(self, reading: Reading) -> int:
        """Return the rules that a prompt holds something for, as bits."""
        known: int | None = reading.facts.get(self._fact)
        if known is None:
            known = 0
            for place, rule in enumerate(self._rules):
                if rule.concerns is not None and rule.concerns(reading):
                    known |= 1 << place
            reading.facts[self._fact] = known
        return known

    def features(self, prompt: str, candidate: str) -> Mapping[str, float]:
        """Return 1.0 for each guard that objects and 0.0 for the others, under `names`, in their order.

        For policies that weigh the guards instead of obeying them. All guards are asked.
        """
        values = dict.fromkeys(self.names, 0.0)
        if prompt == candidate:
            return values
        if self._rules:
            for new, old in _views(prompt, candidate):
                for rule in self._rules:
                    if rule.compare(new, old) is not None:
                        values[rule.name] = 1.0
        for name, guard in self._own:
            if self._ask(name, guard, prompt, candidate) is not None:
                values[name] = 1.0
        return values

    def _ask(self, name: str, guard: Guard, prompt: str, candidate: str) -> str | None:
        try:
            reason: object = guard(prompt, candidate)
        except Exception as error:
            return self._failure(name, f"raised {type(error).__name__}")
        if reason is not None and not isinstance(reason, str):
            return self._failure(name, f"returned {type(reason).__name__} instead of None or a string")
        return reason

    def _failure(self, name: str, what: str) -> str:
        if name not in self._failed:
            self._failed.add(name)
            # The exception's own text may quote a prompt, so only its type is logged.
            _logger.warning("guard %r %s: counted as a veto, further failures are not logged", name, what)
        return f"guard {name} {what}"


class GuardFeatures(Sequence[float]):
    """The guards' verdicts on one candidate, computed only when the policy reads them (one in sixteen)."""

    def __init__(self, guards: GuardSet, prompt: str, candidate: str) -> None:
        self._guards = guards
        self._pair = (prompt, candidate)
        self._values: tuple[float, ...] | None = None

    def __len__(self) -> int:
        return len(self._guards)

    def __getitem__(self, index: Any) -> Any:
        if self._values is None:
            self._values = tuple(self._guards.features(*self._pair).values())
        return self._values[index]
