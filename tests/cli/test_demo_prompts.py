"""The demo's labelled prompts are what they say they are."""

import unicodedata
from collections import Counter

import pytest

from semantic_llm_cache.cli.demo.plain import PLAIN
from semantic_llm_cache.cli.demo.prompts import BURSTS, build_stream, questions
from semantic_llm_cache.cli.demo.traps import TRAPS

EVERY = [*PLAIN, *(question for group in TRAPS for question in group.questions)]


def test_labels_and_answers_are_unique():
    assert len(questions()) == len(EVERY)
    assert len({question.answer for question in EVERY}) == len(EVERY)


def test_no_wording_asks_two_questions():
    # The cache strips outer space and composes characters; nothing else may make two wordings one.
    texts = [unicodedata.normalize("NFC", text).strip() for question in EVERY for text in question.wordings]
    assert [text for text, count in Counter(texts).items() if count > 1] == []
    assert texts == [text for question in EVERY for text in question.wordings]


def test_wordings_that_differ_in_case_and_marks_only_belong_to_one_question():
    owners = {}
    for question in EVERY:
        for text in question.wordings:
            owners.setdefault(text.casefold().rstrip("?!. "), set()).add(question.label)
    assert [text for text, labels in owners.items() if len(labels) > 1] == []


def test_bursts_name_real_wordings():
    assert set(BURSTS) <= {text for question in EVERY for text in question.wordings}


@pytest.mark.parametrize("seed", [7, 1, 2])
def test_the_stream_has_some_300_prompts_of_every_kind(seed):
    stream = build_stream(seed)
    kinds = Counter(prompt.kind for prompt in stream)
    assert 290 <= len(stream) <= 330
    assert kinds["trap"] == sum(len(group.questions) - 1 for group in TRAPS) >= 30
    assert kinds["paraphrase"] >= 90
    assert kinds["repeat"] >= 50
    assert kinds["fresh"] == len(PLAIN) + len(TRAPS)
    assert {prompt.text for prompt in stream} == {text for q in EVERY for text in q.wordings}


@pytest.mark.parametrize("seed", [7, 11])
def test_kinds_and_twins_fit_what_was_sent_before(seed):
    label_of = {text: question.label for question in EVERY for text in question.wordings}
    group_of = {question.label: group for group in TRAPS for question in group.questions}
    seen = []
    for prompt in build_stream(seed):
        assert prompt.label == label_of[prompt.text]
        texts, labels = {p.text for p in seen}, {p.label for p in seen}
        if prompt.kind == "repeat":
            assert prompt.text in texts
        elif prompt.kind == "paraphrase":
            assert prompt.text not in texts
            assert prompt.label in labels
        else:
            assert prompt.label not in labels
        if prompt.kind == "trap":
            group = group_of[prompt.label]
            assert prompt.twin in texts
            assert group_of[label_of[prompt.twin]] is group
            assert label_of[prompt.twin] != prompt.label
            assert prompt.trap == group.kind
        else:
            assert (prompt.twin, prompt.trap) == ("", "")
        seen.append(prompt)


def test_the_order_depends_on_the_seed_alone():
    assert build_stream(7) == build_stream(7)
    assert build_stream(7) != build_stream(8)


def test_bursts_arrive_together():
    stream = build_stream()
    for text, count in BURSTS.items():
        first = next(i for i, prompt in enumerate(stream) if prompt.text == text)
        assert [prompt.text for prompt in stream[first : first + count]] == [text] * count


def test_traps_are_one_small_change_away_from_their_twins():
    for group in TRAPS:
        one, other = (question.wordings[0].split() for question in group.questions)
        differing = Counter(one) - Counter(other)
        assert sum(differing.values()) <= 4, group
