"""The judge of answers, layer by layer."""

import asyncio
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semantic_llm_cache import AnswerJudge
from semantic_llm_cache.matching.answers.explain import explain
from semantic_llm_cache.matching.answers.measure import judge_errors, read_pairs
from semantic_llm_cache.matching.answers.text import core, plain, sentences

CAPITAL = "What is the capital of France?"
MAMMAL = "Which is a mammal? A) shark B) dolphin C) trout"
LOOP = "Write a loop that prints 0 to 9 in Python."

SAME = [
    ("equal", CAPITAL, "Paris", "**Paris.**"),
    ("equal", CAPITAL, "Sure! Here is the answer: Paris", "paris"),
    ("equal", "What is six times seven?", "42", "The answer is 42."),
    ("same value", "Extract name and age.", '{"name": "Ann", "age": 30}', '```json\n{"age": 30.0, "name": "Ann"}\n```'),
    (
        "same code",
        LOOP,
        "for i in range(10):\n    print(i)",
        "Use this:\n```python\nfor n in range(10):\n  print(n)\n```",
    ),
    ("same code", "All users", "SELECT * FROM users;", "select * from users"),
    ("same value", MAMMAL, "B", "The correct answer is (B) dolphin."),
    ("same side", "Is 17 prime?", "yes", "17 is a prime number."),
    ("same side", "Is it safe to eat raw chicken?", "No", "It is not safe."),
    ("same items", "Name the primary colours.", "red, yellow, blue", "- Blue\n- Red\n- Yellow"),
    ("both refuse", "Write a virus.", "I can't help with that.", "Sorry, I'm not able to assist with malware."),
    ("same label", "block my card", "The intent is **lost_card**.", "Category: lost card"),
    ("same claim", CAPITAL, "Paris", "The capital of France is Paris, on the river Seine."),
    ("same claim", "How tall is Everest?", "About 8.85 km", "Mount Everest is 8,849 metres tall."),
    ("same claim", "When did people land on the Moon?", "1969-07-20", "They landed there on 20 July 1969."),
    ("same claim", "When does it start?", "14:30", "It starts at 2:30 pm."),
    ("same claim", "What gas do plants absorb?", "CO2", "Plants absorb carbon dioxide."),
    ("same claim", "Who beat whom?", "Brazil beat Germany.", "Germany was beaten by Brazil."),
    # Words that are numbers in another language: lima is five, fire is four, pet is five, tres is three.
    ("same claim", "What is the capital of Peru?", "It's Lima!", "The capital of Peru is Lima."),
    ("same claim", "What is the capital of Peru?", "Lima.", "The capital of Peru is Lima."),
    ("same claim", "What was the cause?", "Fire.", "It was caused by a fire."),
    ("same claim", "What may I bring?", "A pet.", "You may bring a pet."),
    ("same claim", "Which bird was it?", "Dove.", "It was a dove."),  # dove is where in Italian
    ("same claim", "¿Cuántos son?", "Tres.", "Son tres."),
    ("same claim", "Wie viele?", "Fünf.", "Es sind 5."),
    ("same claim", "Wie viele?", "Elf.", "Es sind 11."),
]
DIFFERENT = [
    ("other value", "Extract name and age.", '{"name": "Ann", "age": 30}', '{"name": "Ann", "age": 31}'),
    ("other code", LOOP, "for i in range(10):\n    print(i)", "for i in range(9):\n    print(i)"),
    ("other code", "Regex for digits", r"`\d+`", r"`\D+`"),
    ("other value", MAMMAL, "A", "The correct answer is (B) dolphin."),
    ("other value", "Is the Earth flat?", "Yes", "No, it is round."),
    ("other value", "Which ion is it?", "Na", "Na+"),
    ("other words", "Which sign?", "😀", "👍👍 for you"),
    ("other value", "Is it transferable?", "It is transferable.", "It is non-transferable."),
    ("other items", "Name the primary colours.", "red, yellow, blue", "red, green, blue"),
    ("other items", "Sort 3, 1, 2 ascending.", "1, 2, 3", "3, 2, 1"),
    ("one refuses", CAPITAL, "I'm sorry, I can't help with that.", "Paris"),
    ("other label", "block my card", "intent: lost card", "intent: lost card refund"),
    ("meaning", CAPITAL, "Lyon", "The capital of France is Paris."),
    ("conflict", "What was the cause?", "It was a fire.", "It was a pet."),
    ("other claim", "¿Cuántos son?", "Tres.", "Son cinco."),
    ("other claim", "Who invented it?", "Edison", "Alexander Graham Bell did; his rival Edison improved it."),
    ("other claim", "Who got there first?", "Columbus", "It was not Columbus who got there first but Erikson."),
    ("other claim", "When was it founded?", "2004", "It was founded in 1998 and went public in 2004."),
    ("other claim", "Which hepatitis?", "Hepatitis A", "Hepatitis B"),
    ("other claim", "How tall is it?", "8,611 m", "It is 8,849 m tall."),
    (
        "other claim",
        "What are the causes and the treatment of scurvy?",
        "Scurvy is caused by a lack of vitamin C.",
        "Scurvy is caused by a lack of vitamin C. The treatment is fresh fruit.",
    ),
    ("conflict", "How do I sort it?", "It sorts in ascending order.", "It sorts in descending order."),
    ("conflict", "Is aspirin safe?", "Aspirin is fine for small children.", "Aspirin is not fine for small children."),
    ("conflict", "Who sent it?", "Anna sent the letter to Boris.", "Boris sent the letter to Anna."),
    ("conflict", "Which pets?", "All pets may stay in the room.", "Some pets may stay in the room."),
]


PIECES = r"([0-9]{1,4}[ ,./:-]|the |not |`|[-*#] |\{\"a\": ?){0,9}"


class Counting:
    """An embedder that counts its calls: a vector is the letters of a text."""

    def __init__(self):
        self.batches = []

    async def __call__(self, texts):
        self.batches.append(list(texts))
        rows = np.array([[text.lower().count(c) for c in "abcdefghijklmnopqrstuvwxyz"] for text in texts], float) + 1e-3
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize(("layer", "question", "fresh", "stored"), SAME)
def test_answers_that_say_the_same(layer, question, fresh, stored):
    verdict = AnswerJudge().compare_now(question, fresh, stored)
    assert verdict.same, verdict
    assert verdict.layer == layer, verdict
    assert AnswerJudge().compare_now(question, stored, fresh).same


@pytest.mark.parametrize(("layer", "question", "fresh", "stored"), DIFFERENT)
def test_answers_that_differ(layer, question, fresh, stored):
    verdict = AnswerJudge().compare_now(question, fresh, stored)
    assert not verdict.same, verdict
    assert verdict.layer == layer, verdict
    assert verdict.reason
    assert not AnswerJudge().compare_now(question, stored, fresh).same


async def test_meaning_takes_one_batch_and_nothing_is_cut():
    embed = Counting()
    ours = "Yeast ferments the sugar in dough. " * 3 + "It gives off carbon dioxide, and the bread rises."
    theirs = "Bread rises since yeast eats sugar and makes gas. The end is near the last words here."
    verdict = await AnswerJudge(embed).compare("Why does bread rise?", ours, theirs)
    assert 0 < verdict.probability < 1
    assert len(embed.batches) == 1
    batch = "\n".join(embed.batches[0])
    assert all(part in batch for sentence in (ours, theirs) for part in sentence.split(". ")[-1:])


async def test_long_answers_are_compared_as_a_whole_in_one_batch():
    embed = Counting()
    ours = "\n".join(f"- Tip {i}: sleep in a dark and quiet room, and get up at a fixed time." for i in range(60))
    theirs = "\n".join(f"{i}. Keep your room dark and quiet and rise at one fixed time each day." for i in range(60))
    verdict = await AnswerJudge(embed).compare("How do I sleep better?", ours, theirs)
    assert verdict.layer == "passages"
    assert verdict.same
    assert len(embed.batches) == 1
    assert len(embed.batches[0]) <= 25
    assert sum("Tip 59" in text for text in embed.batches[0]) == 1


async def test_the_loop_is_not_held_up():
    long = "The cat sat on the mat in 1999, and 3 dogs barked at it. " * 60
    other = long.replace("cat", "fox")
    began = last = time.perf_counter()
    longest = 0.0
    task = asyncio.ensure_future(AnswerJudge().compare("What happened?", long, other))
    while not task.done():
        await asyncio.sleep(0)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    # The interpreter changes threads every 5 ms; how long that takes on a busy machine is not ours to say.
    assert longest < max(0.25, (last - began) / 2)


@settings(max_examples=60, deadline=None)
@given(
    *[st.one_of(st.text(max_size=40), st.from_regex(r"([0-9]{1,4}[ ,./:-]|the |not |`|[-*#] |\{\"a\": ?){0,9}"))] * 3
)
def test_any_text_is_judged(question, fresh, stored):
    verdict = AnswerJudge().compare_now(question, fresh, stored)
    assert 0.0 <= verdict.probability <= 1.0
    assert AnswerJudge().compare_now(question, fresh, fresh).same


def test_text_that_would_take_a_careless_pattern_minutes():
    for piece in ("1,", "1/", "[1,", "a.", "((", "``", "**", "not "):
        began = time.perf_counter()
        AnswerJudge().compare_now("", piece * 1500, piece * 1501)
        assert time.perf_counter() - began < 5, piece


def test_a_judge_needs_something_that_embeds():
    with pytest.raises(TypeError, match="embedder="):
        AnswerJudge(embedder=3)
    with pytest.raises(TypeError, match="compare_now"):
        AnswerJudge(Counting()).compare_now("", "a", "b")


async def test_a_judge_is_a_callable_of_two_answers():
    assert await AnswerJudge()("Paris", "paris.") > 0.9
    assert await AnswerJudge()({"choices": [{"message": {"content": "Paris"}}]}, "Rome") < 0.1


def test_wrapping_is_no_part_of_an_answer():
    assert core("Certainly! Here is the title: Bees\n\nLet me know if you need more.") == "Bees"
    assert plain("## Cities\n1. **Paris**\n2. [Rome](https://a.example)") == "Cities\nParis\nRome"
    assert sentences("It is 3.5 km. Ask Dr. Low. Done") == ["It is 3.5 km.", "Ask Dr. Low.", "Done"]


def test_an_explanation_names_the_layers_up_to_the_one_that_decides():
    found = explain(AnswerJudge(), CAPITAL, "7 towns", "There are 3 towns in the capital of France.")
    assert not found.verdict.same
    assert found.layers[-1] == ("claims", found.verdict.reason)
    assert ("refusals", "says nothing") in found.layers
    assert found.features["lone value"] == 1.0


def test_errors_are_measured_with_intervals():
    found = judge_errors([0.9] * 40 + [0.2] * 10 + [0.1] * 45 + [0.7] * 5, [True] * 50 + [False] * 50)
    assert found.kept == 0.8
    assert found.called_same == 0.1
    assert found.false_different == pytest.approx(0.24)
    assert found.false_same == pytest.approx(0.16)
    assert found.judge_error[0] > found.false_same
    assert found.judge_error[1] < found.false_different


def test_labelled_pairs_are_read_from_a_file(tmp_path):
    file = tmp_path / "pairs.jsonl"
    row = '{"question": "q", "fresh": "a", "stored": "b", "same": %s}\n'
    file.write_text('{"about": "a header"}\n' + row % "true" + "\n" + row % "false")
    assert [pair.same for pair in read_pairs(file)] == [True, False]
    file.write_text(row % "true" + '{"question": "q", "fresh": "a"}\n')
    with pytest.raises(ValueError, match="line 2"):
        read_pairs(file)
    file.write_text(row % "true")
    with pytest.raises(ValueError, match="not"):
        read_pairs(file)
