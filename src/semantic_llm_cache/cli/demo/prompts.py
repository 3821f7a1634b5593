"""The demo's prompts: a day at the help desk of a note-taking app, whose assistant answers anything.

Every wording is labelled with the question it asks, so that every hit can be checked. The prompts and
answers were written for this demo. The share of traps, about one prompt in eight, is higher than in
real traffic, to show what happens to them.
"""

from __future__ import annotations

import random

from semantic_llm_cache.cli.demo.plain import PLAIN
from semantic_llm_cache.cli.demo.questions import Prompt, Question
from semantic_llm_cache.cli.demo.traps import TRAPS

__all__ = ["BURSTS", "build_stream", "questions"]

_REPEATS = 42

BURSTS = {
    "Is the service down right now?": 6,
    "I can't log in to my account": 5,
    "Why is syncing so slow?": 4,
    "How do I reset my password?": 4,
    "Do you offer a student discount?": 4,
    "How long is the free trial?": 3,
    "Where is my data stored?": 3,
}
"""Texts that several people send at the same moment, and how many people: these show coalescing."""


def questions() -> dict[str, Question]:
    """Return every question by its label."""
    every = [*PLAIN, *(question for group in TRAPS for question in group.questions)]
    return {question.label: question for question in every}


def build_stream(seed: int = 7) -> list[Prompt]:
    """Return the prompts in the order in which they are sent; the same order for the same seed.

    A question's wordings come in random order, spread over the rest of the day after the first;
    popular questions are repeated word for word more often; a few texts arrive in bursts.
    Of a group of look-alikes the second to arrive is the trap.

    Example:
        >>> len(build_stream()) == len(build_stream(seed=1))
        True
    """
    # Only random() is used: its values are the same in every version of Python.
    rng = random.Random(seed)
    asked: list[tuple[float, str, Question]] = []  # time of day in [0, 1), wording, question

    def spread(question: Question, first: float) -> None:
        asked.append((first, question.wordings[0], question))
        for text in question.wordings[1:]:
            asked.append((first + (1 - first) * rng.random(), text, question))

    for question in PLAIN:
        spread(question, 0.75 * rng.random())
    for group in TRAPS:
        first = 0.55 * rng.random()
        spread(group.questions[0], first)
        for question in group.questions[1:]:
            spread(question, first + (0.9 - first) * (0.1 + 0.9 * rng.random()))

    arrivals = [item for item in asked for _ in range(BURSTS.get(item[1], 1))]
    # A question with more wordings is asked more often, mostly in its first wording.
    weights = [len(question.wordings) ** 2 / (1 + question.wordings.index(text)) ** 2 for _, text, question in asked]
    for _ in range(_REPEATS):
        when, text, question = asked[_draw(weights, rng.random())]
        arrivals.append((when + (1 - when) * rng.random(), text, question))
    arrivals.sort(key=lambda item: item[0])  # stable, so that a burst stays together
    return _classify([(text, question.label) for _, text, question in arrivals])


def _draw(weights: list[float], at: float) -> int:
    """Return the index on which `at`, a number in [0, 1), falls when the weights are laid end to end."""
    left = at * sum(weights)
    for index, weight in enumerate(weights):
        left -= weight
        if left < 0:
            return index
    return len(weights) - 1


def _classify(order: list[tuple[str, str]]) -> list[Prompt]:
    group_of = {question.label: group for group in TRAPS for question in group.questions}
    sent: set[str] = set()
    first_text: dict[str, str] = {}  # label -> the text in which it was asked first
    stream = []
    for text, label in order:
        group = group_of.get(label)
        earlier = [q.label for q in group.questions if q.label in first_text] if group is not None else []
        if text in sent:
            prompt = Prompt(text, label, "repeat")
        elif label in first_text:
            prompt = Prompt(text, label, "paraphrase")
        elif group is not None and earlier:
            prompt = Prompt(text, label, "trap", twin=first_text[earlier[0]], trap=group.kind)
        else:
            prompt = Prompt(text, label, "fresh")
        sent.add(text)
        first_text.setdefault(label, text)
        stream.append(prompt)
    return stream
