"""The quick tests before the guards and their patterns: none of them hides what would be found."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semantic_llm_cache.matching.guards import (
    DEFAULT_GUARDS,
    get_guard,
    numbers,
    periods,
    quantity,
    resolve_guards,
    rider,
    symbols,
    times,
)
from semantic_llm_cache.matching.guards.lexicon.riders import PHRASE_WORDS
from semantic_llm_cache.matching.guards.text import Reading

# The pattern, whether it reads the text in lower case, and its quick test.
CASES = {
    "periods alone": (periods._ALONE, True, lambda reading: reading.may_hold(periods._UNIT_WORDS)),
    "periods after": (periods._AFTER, True, lambda reading: reading.may_hold(periods._UNIT_WORDS)),
    "zones": (times._ZONE, False, lambda reading: reading.may_hold(times._ZONE_WORDS)),
    "zones by name": (times._ZONE_NAME, False, lambda reading: reading.may_hold(times._ZONE_WORDS)),
    "clocks": (times._CLOCK, False, lambda reading: times._MAY_BE_CLOCK.search(reading.text) is not None),
    "versions": (numbers._VERSION, False, lambda reading: numbers._MAY_BE_VERSION.search(reading.text) is not None),
    "as to a child": (quantity._LIKE_FIVE, False, lambda reading: "5" in reading.text or "five" in reading.lower),
    "identifiers": (symbols._HARD_ID, False, lambda reading: symbols._ID_SIGN.search(reading.text) is not None),
    "phrases": (rider._PHRASES[0], True, lambda reading: reading.may_hold(PHRASE_WORDS)),
    "phrases that begin a clause": (rider._PHRASES[1], True, lambda reading: reading.may_hold(PHRASE_WORDS)),
}
around = st.sampled_from(["", " ", ", ", "-", "(", ". ", "'", "_", "7", "x", "é", "日", "\n"])


@pytest.mark.parametrize("case", CASES)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_what_a_pattern_matches_passes_its_quick_test(case, data):
    pattern, in_lower_case, may_match = CASES[case]
    text = data.draw(around) + data.draw(st.from_regex(re.compile(pattern.pattern, pattern.flags))) + data.draw(around)
    reading = Reading(text)
    if pattern.search(reading.lower if in_lower_case else reading.text):
        assert may_match(reading)


@given(
    st.lists(st.sampled_from([*sorted(quantity._BEGIN_NUMBERS)[::9], "II", "5", "a", "half", "dozen", "miles", "and"]))
)
@settings(max_examples=80, deadline=None)
def test_no_other_word_begins_a_number(words):
    reading = Reading(" ".join(words))
    for at, (kind, piece, _) in enumerate(reading.tokens):
        if kind == "word" and piece.lower() not in quantity._BEGIN_NUMBERS:
            assert quantity._read_word(reading, at, quantity._ENGLISH_NUMBERS).value is None


FRAGMENTS = (
    "what is", "is it", "How do I", "not", "never", "5", "3.10", "v2", "ORD-12", "snake_case", "CamelCase", "--hard",
    "-x", "`range(10)`", "f(x)", "example.com/a", "/etc/hosts", '"yes"', "«no»", "a-b", "x >= 3", "and", "or",
    "inner join", "distinct", "half", "double", "two", "a dozen", "miles", "5 km", "$", "€20", "tomorrow", "last week",
    "10:30", "5 pm", "CET", "eastern standard time", "monthly", "per year", "May 5", "vitamin C", "type II", "H2O",
    "15 Pro", "in JSON", "in detail", "as a list", "in French", "auf Deutsch", "🎉", "año", "ano", "café", "IT",
    "it", "US", "us", "Polish", "ไทย", "हिन्दी", "中文", "明天", "不", "once", "dos", "can", "must", "all", "only",
    "by", "than", "'s", ".", "?", ",", "\n",
)  # fmt: skip
prompts = st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=6).map(" ".join)


@given(prompts, prompts)
@settings(max_examples=250, deadline=None)
def test_a_rule_that_a_pair_does_not_concern_does_not_object(one, other):
    new, old = Reading(one), Reading(other)
    for name in DEFAULT_GUARDS:
        rule = get_guard(name)
        if rule.concerns is not None and not rule.concerns(new) and not rule.concerns(old):
            assert rule.compare(new, old) is None, name


@given(prompts, prompts)
@settings(max_examples=100, deadline=None)
def test_a_set_of_guards_objects_as_its_rules_do_one_after_the_other(one, other):
    guards = resolve_guards("default")
    each = [(name, reason) for name in DEFAULT_GUARDS if (reason := get_guard(name)(one, other)) is not None]
    veto = guards.check(one, other)
    assert (veto is None) == (not each)
    if veto is not None:
        assert veto.rule == each[0][0]


def test_prompts_that_concern_few_rules_are_asked_about_few():
    new, old = Reading("Where do penguins live?"), Reading("Where can penguins be found?")
    asked = [rule.name for rule in resolve_guards("default")._concerned(new, old)]
    assert "numbers" not in asked
    assert "swap" in asked


@pytest.mark.parametrize("text", ["I ca n't open the café", "N't: é", "ca n't n't нельзя"])
def test_a_negation_that_stands_apart_is_the_word_not(text):
    reading = Reading(text)
    assert "not" in reading.words
    assert "" not in reading.words
    assert sum(reading.opened) == len(reading.words)


@pytest.mark.parametrize("empty", ["```\n```", "```python\n```", "```\n \n```", "` `"])
def test_an_empty_block_of_code_is_no_code(empty):
    guards = resolve_guards(["code"])
    assert guards.check(f"Explain this: {empty}", "Explain this:") is None
    assert guards.check(f"Explain this: {empty}", f"Please explain this: {empty}") is None
    assert guards.check(f"Explain this: {empty}", "Explain this: `f(x) + 1`") is not None
