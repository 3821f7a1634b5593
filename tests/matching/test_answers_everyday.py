"""Answers that differ in who, how often or too much and too little, and a "No" before what says it anyway."""

import asyncio
import json
from pathlib import Path

import pytest

from semantic_llm_cache import AnswerJudge
from semantic_llm_cache.matching.answers.measure import read_pairs
from semantic_llm_cache.matching.answers.values import agree, values

DIFFERENT = [
    ("Who pays for the return?", "The customer pays for return shipping.", "We pay for return shipping."),
    ("Who pays for the return?", "You pay for return shipping.", "The seller pays for return shipping."),
    ("Who repairs the boiler?", "The tenant has to repair it.", "The landlord has to repair it."),
    ("Who signs?", "Your manager signs the form.", "Our manager signs the form."),
    (
        "Why are the leaves yellow?",
        "You are watering it too much.",
        "You are watering it too little.",
    ),
    ("Why is it pale?", "There are too many plants in the pot.", "There are too few plants in the pot."),
    ("Why is it pale?", "It gets too much light.", "It does not get enough light."),
    ("Who painted the Mona Lisa?", "Leonardo da Vinci painted it.", "Michelangelo painted it."),
    ("Who wrote it?", "William Shakespeare wrote it around 1600.", "Marlowe wrote it around 1600."),
    ("How often should I clean it?", "Every three months.", "Three times a month."),
    ("How often should I clean it?", "Clean it twice a week.", "Clean it every two weeks."),
    ("Is it closed?", "No, it is open.", "It is closed."),
    ("Is it dangerous?", "No, it is harmless.", "It is dangerous."),
    ("Is it free?", "No, it costs 5 euros.", "Yes, it is free."),
]
SAME = [
    ("Is the museum open on Mondays?", "No, it is closed every Monday.", "It is closed on Mondays."),
    ("Is it free?", "No, it costs 5 euros.", "It costs 5 euros."),
    ("Is it dangerous?", "No, it is harmless.", "It is harmless."),
    ("How often should I clean it?", "Every three months.", "Four times a year."),
    ("How often should I clean it?", "Clean it once a week.", "Clean it every seven days."),
    ("Who pays for the return?", "The customer pays for it.", "You pay for it."),
    ("Who decided it?", "The United Nations decided it.", "The UN decided it."),
]


async def _verdicts(question: str, one: str, other: str) -> list[bool]:
    judge = AnswerJudge()
    return [(await judge.compare(question, *pair)).same for pair in ((one, other), (other, one))]


@pytest.mark.parametrize(("question", "one", "other"), DIFFERENT)
async def test_answers_that_differ(question: str, one: str, other: str) -> None:
    assert await _verdicts(question, one, other) == [False, False]


@pytest.mark.parametrize(("question", "one", "other"), SAME)
async def test_answers_that_say_the_same(question: str, one: str, other: str) -> None:
    assert await _verdicts(question, one, other) == [True, True]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("daily", "every day", True),
        ("weekly", "every 7 days", True),
        ("every other week", "26 times a year", True),
        ("once a quarter", "every three months", True),
        ("twice daily", "every twelve hours", True),
        ("monthly", "weekly", False),
        ("every two years", "twice a year", False),
    ],
)
def test_how_often_is_a_value(one: str, other: str, same: bool) -> None:
    (a,), (b,) = values(f"Do it {one}."), values(f"Do it {other}.")
    assert (a.kind, b.kind) == ("frequency", "frequency")
    assert agree(a, b) is same


@pytest.mark.parametrize("question", [None, 7, b"why?", ["why?"]])
def test_a_question_that_is_no_text_is_named(question: object) -> None:
    with pytest.raises(TypeError, match=r"question=.* must be text"):
        asyncio.run(AnswerJudge().compare(question, "a", "b"))  # type: ignore[arg-type]


def test_labelled_pairs_may_hold_any_line_separator(tmp_path: Path) -> None:
    rows = [
        {"question": "q", "fresh": "one\u2028two\x85three\x0c", "stored": "a", "same": same} for same in (True, False)
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("\ufeff" + "\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    assert [pair.fresh for pair in read_pairs(path)] == ["one\u2028two\x85three\x0c"] * 2


@pytest.mark.parametrize(
    "row",
    ["[1]", "7", '"question"', '{"question": "q", "fresh": null, "stored": "b", "same": true}',
     '{"question": 1, "fresh": "a", "stored": "b", "same": true}',
     '{"question": "q", "fresh": "a", "stored": "b", "same": 7}'],
)  # fmt: skip
def test_a_line_that_is_no_pair_is_named(row: str, tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(row + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"^line 1"):
        read_pairs(path)
