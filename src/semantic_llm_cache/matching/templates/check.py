"""`TemplateCheck`: what one engine knows of templates, and what it says about two prompts from one."""

from __future__ import annotations

from semantic_llm_cache.keys.request import Request
from semantic_llm_cache.keys.template import slots_of_text
from semantic_llm_cache.matching.guards import GuardSet

from .sharing import given_slots, learn, shared_slots
from .skeletons import Skeletons
from .slot_comparison import SlotComparison

__all__ = ["TemplateCheck"]


class TemplateCheck:
    """Compares what differs between prompts from one template, given or learned.

    Args:
        guards: the built-in ones are asked about the parts that differ. The user's own, which may expect a whole
            prompt, are asked about all slots of a given template together.
    """

    def __init__(self, guards: GuardSet) -> None:
        self._rules = guards.built_in
        self._own = guards.own
        self._skeletons = Skeletons()

    def compared(self, request: Request, other: str, scope: str = "") -> SlotComparison | None:
        """Return what is known so far about the differences; None if the prompts are not from one template.

        Args:
            request: the question.
            other: the stored prompt.
            scope: the scope of both, for what was learned; "" uses nothing learned.
        """
        if request.slots < 2:
            slots = shared_slots(request.text, other, self._skeletons, scope)
        else:
            slots = given_slots(slots_of_text(request.text), slots_of_text(other))
        return None if slots is None else SlotComparison(slots, self._rules)

    def veto(self, prompt: str, other: str) -> str | None:
        """Return the objection of the user's own guards, given the slots of a template."""
        veto = self._own.check(prompt, other)
        return None if veto is None else str(veto)

    def learn(self, request: Request, other: str, scope: str) -> None:
        """Learn from a request and a stored prompt of its scope."""
        if not request.slots:
            learn(self._skeletons, scope, request.text, other)
