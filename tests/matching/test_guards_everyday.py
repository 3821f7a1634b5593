"""Everyday questions that differ in one small thing, and their rewordings that do not."""

import pytest

from semantic_llm_cache.matching.guards import get_guard

DIFFERENT = [
    ("swap", "How do I ask my boss for a raise?", "How does my boss ask for a raise?"),
    ("swap", "Should I tip the driver in cash?", "Should the driver tip in cash?"),
    (
        "swap",
        "Does my landlord have to pay for the repairs?",
        "Do I have to pay for my landlord's repairs?",
    ),
    ("swap", "Can we cancel on our guests?", "Can our guests cancel on us?"),
    ("swap", "What is the population of New York City?", "What is the population of New York State?"),
    ("swap", "what is the population of new york city", "what is the population of new york state"),
    ("antonyms", "How do I grow tomatoes in the shade?", "How do I grow tomatoes in full sun?"),
    ("quantifiers", "How do I mail everyone in the group?", "How do I mail one person in the group?"),
]
SAME = [
    ("antonyms", "Give me another example of a noun", "Give me other examples of a noun"),
    ("swap", "How do I ask my boss for a raise?", "How should I ask my boss for a raise?"),
    ("swap", "When do I get the invoice?", "When does the invoice arrive?"),
    ("swap", "Can I use the coupon twice?", "Can the coupon be used twice?"),
    ("swap", "How do I reset my password?", "How can one reset a password?"),
    ("swap", "What is the largest city in Texas?", "What is the largest town in Texas?"),
    ("quantifiers", "How do I mail everyone in the group?", "How do I mail all people in the group?"),
]


@pytest.mark.parametrize(("rule", "one", "other"), DIFFERENT)
def test_what_differs_is_seen_both_ways(rule: str, one: str, other: str) -> None:
    guard = get_guard(rule)
    assert guard(one, other)
    assert guard(other, one)


@pytest.mark.parametrize(("rule", "one", "other"), SAME)
def test_what_says_the_same_is_not(rule: str, one: str, other: str) -> None:
    guard = get_guard(rule)
    assert guard(one, other) is None
    assert guard(other, one) is None
