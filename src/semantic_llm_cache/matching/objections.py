"""Objections to a pair of prompts: the guards, and what differs between long prompts from one template."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from semantic_llm_cache.matching.guards import GuardSet, Veto
from semantic_llm_cache.matching.templates.sharing import shared_slots
from semantic_llm_cache.matching.templates.slot_comparison import SlotComparison
from semantic_llm_cache.similarity.differences import unseen_difference

if TYPE_CHECKING:
    from semantic_llm_cache.similarity.base import EmbeddingProvider

__all__ = ["PairCheck"]

_KEPT = 20_000  # vectors of remainders kept: prompts from one template repeat the same remainders


class PairCheck:
    """The engine's checks of a pair of prompts besides the threshold: text that no vector shows, guards, residual.

    Args:
        guards: the guards; an empty set objects to nothing, and drops the residual check too.
        encode: takes texts, returns unit vectors, shape (n, dimension); called only for long prompts.
        embedder: says what it does not see in the two texts, even without guards; None skips that.

    Example:
        >>> from semantic_llm_cache.matching.guards import resolve_guards
        >>> check = PairCheck(resolve_guards("default"), encode=lambda texts: [])
        >>> check.first("5 miles in km", "6 miles in km")
        'number 5 miles != 6 miles'
    """

    def __init__(
        self, guards: GuardSet, encode: Callable[[Sequence[str]], Any], embedder: EmbeddingProvider | None = None
    ) -> None:
        self.guards = guards
        self._embedder = embedder
        self._encode = encode
        self._vectors: OrderedDict[str, Any] = OrderedDict()

    def first(self, prompt: str, candidate: str) -> str | None:
        """Return the first objection to answering `prompt` with the answer to `candidate`, or None."""
        unseen = self.unseen(prompt, candidate)
        if unseen is not None:
            return unseen
        veto = self.guards.check(prompt, candidate)
        if veto is not None:
            return str(veto)
        found = self.remainder(prompt, candidate)
        return None if found is None else found.reason

    def unseen(self, prompt: str, candidate: str) -> str | None:
        """Return how the two differ in what their vectors do not show, or None."""
        return None if self._embedder is None else unseen_difference(self._embedder, prompt, candidate)

    def all(self, prompt: str, candidate: str) -> list[Veto]:
        """Return all objections in the order in which they are asked: unseen text, guards, residual."""
        from semantic_llm_cache.matching.guards import DEFAULT_GUARDS, get_guard

        unseen = self.unseen(prompt, candidate)
        found = [] if unseen is None else [Veto("unseen", unseen)]
        for name, objects in self.guards.features(prompt, candidate).items():
            if objects:
                reason = get_guard(name)(prompt, candidate) if name in DEFAULT_GUARDS else None
                found.append(Veto(name, reason or f"guard {name} objects"))
        rest = self.remainder(prompt, candidate)
        return found if rest is None else [*found, rest]

    def remainder(self, prompt: str, candidate: str) -> Veto | None:
        """Return only the objection to what differs between long prompts from one template."""
        slots = shared_slots(prompt, candidate) if len(self.guards) else None
        if slots is None:
            return None
        found = SlotComparison(slots, self.guards.built_in)
        reason = found.objection
        if found.texts:
            reason = found.by_meaning(np.stack([self._vector(text) for text in found.texts]))
        return None if reason is None else Veto("residual", reason)

    def _vector(self, text: str) -> Any:
        vector = self._vectors.get(text)
        if vector is None:
            vector = self._vectors[text] = self._encode([text])[0]
            if len(self._vectors) > _KEPT:
                self._vectors.popitem(last=False)
        return vector
