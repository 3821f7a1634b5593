"""The built-in categories of prompts."""

import pytest
from benchmarks.trust.category_prompts import HELD_OUT, PROMPTS

from semantic_llm_cache.matching.categories import category_of, is_time_bound

PASSAGE = "The mayor said today that the latest price of bread is too high. " * 8


@pytest.mark.parametrize("rows", [PROMPTS, HELD_OUT])
def test_nearly_all_labelled_prompts_get_their_category(rows: list[tuple[str, ...]]) -> None:
    wrong = [row for row in rows if category_of(row[2]) != row[0]]
    assert len(wrong) <= 3, wrong


def test_the_short_way_says_the_same() -> None:
    for _, _, text in PROMPTS + HELD_OUT:
        assert is_time_bound(text) == (category_of(text) == "time-bound"), text


@pytest.mark.parametrize(
    "text",
    [
        "History of the latest Ice Age",
        "What is today's date format called?",
        "Explain price elasticity",
        "What is current (electricity)?",
        "How do I score a film?",
        "Why do rocks weather?",
        "I am currently studying law. What is a tort?",
        "Is today's generation lazy?",
        "",
        "   ",
    ],
)
def test_traps(text: str) -> None:
    assert not is_time_bound(text)


def test_in_a_long_prompt_only_what_is_asked_counts() -> None:
    assert not is_time_bound(f"Answer from the text.\n\n{PASSAGE}\n\nQuestion: Who is the baker?\nAnswer:")
    assert is_time_bound(f"Answer from the text.\n\n{PASSAGE}\n\nQuestion: What is the weather today?\nAnswer:")
    assert is_time_bound(f"What is the latest price of bread?\n\n{PASSAGE}\n\nBe brief.")
    assert not is_time_bound(f"Who is the baker in this text? {'Read it well. ' * 20}{PASSAGE}{'Be brief. ' * 30}")
    assert category_of(f"Why does this fail?\n\n{'x = 1' * 2000}\n```python\nprint(x)\n```") == "code"
