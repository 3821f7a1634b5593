"""The record types of the demo's data."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Prompt", "Question", "TrapGroup", "ask", "lookalikes"]


class Question(NamedTuple):
    """One question: its label, its answer, and the ways in which people word it."""

    label: str
    answer: str
    wordings: tuple[str, ...]


class TrapGroup(NamedTuple):
    """Questions that look alike and differ in `kind`; the second one in a stream is a trap."""

    kind: str
    questions: tuple[Question, ...]


class Prompt(NamedTuple):
    """One prompt of the stream.

    Args:
        text: what is sent.
        label: the question it asks.
        kind: ``"fresh"`` (a question's first wording), ``"paraphrase"`` (another wording of a question
            asked before), ``"repeat"`` (the exact text of an earlier prompt) or ``"trap"`` (a new question
            that looks like an earlier one).
        twin: for a trap, the text of the earlier prompt that it resembles.
        trap: for a trap, how the two differ.
    """

    text: str
    label: str
    kind: str
    twin: str = ""
    trap: str = ""


def ask(label: str, answer: str, *wordings: str) -> Question:
    """Return the question `label` with its wordings, the first one first."""
    return Question(label, answer, wordings)


def lookalikes(kind: str, *group: Question) -> TrapGroup:
    """Return a group of questions that differ in `kind` only."""
    return TrapGroup(kind, group)
