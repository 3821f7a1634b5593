"""The quick tests before the guards' patterns: none of them hides what its pattern would match."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semantic_llm_cache.matching.guards import numbers, periods, rider, symbols, times
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
    "as to a child": (numbers._LIKE_FIVE, False, lambda reading: "5" in reading.text or "five" in reading.lower),
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
    st.lists(st.sampled_from([*sorted(numbers._BEGIN_NUMBERS)[::9], "II", "5", "a", "half", "dozen", "miles", "and"]))
)
@settings(max_examples=80, deadline=None)
def test_no_other_word_begins_a_number(words):
    reading = Reading(" ".join(words))
    for at, (kind, piece, _) in enumerate(reading.tokens):
        if kind == "word" and piece.lower() not in numbers._BEGIN_NUMBERS:
            assert numbers._read_word(reading, at, numbers._ENGLISH_NUMBERS).value is None
