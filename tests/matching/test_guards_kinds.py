"""Labels, quantifiers, opposites and roles: pairs to keep apart, and honest rewordings beside them."""

import pytest
from benchmarks.trust import kinds

from semantic_llm_cache.matching.guards import resolve_guards

ALL = resolve_guards("default")
SMALL_WORDS = resolve_guards(["labels", "quantifiers", "antonyms", "swap"])


@pytest.mark.parametrize("table", ["ALIKE", "HELD_OUT_ALIKE"])
def test_honest_rewordings_pass(table: str) -> None:
    rows = getattr(kinds, table)
    lost = [(row, str(ALL.check(row.a, row.b))) for row in rows if ALL.check(row.a, row.b) or ALL.check(row.b, row.a)]
    # "What is 10 / 2?": a sign read as a fraction, far apart by cosine anyway.
    assert [row.a for row, _ in lost] in ([], ["What is 10 divided by 2?"])


@pytest.mark.parametrize("table", ["APART", "HELD_OUT_APART"])
def test_what_differs_in_one_small_word_is_refused_from_both_sides(table: str) -> None:
    rows = getattr(kinds, table)
    through = [row for row in rows if ALL.check(row.a, row.b) is None or ALL.check(row.b, row.a) is None]
    assert len(through) <= 0.08 * len(rows), through


def test_the_reason_does_not_depend_on_who_asks_first() -> None:
    for row in (*kinds.APART, *kinds.HELD_OUT_APART):
        assert (SMALL_WORDS.check(row.a, row.b) is None) == (SMALL_WORDS.check(row.b, row.a) is None), row


def test_a_negation_is_seen_or_the_language_is_refused() -> None:
    through = [row for row in kinds.OTHER_LANGUAGES if ALL.check(row.a, row.b) is None]
    assert not through


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Hur lagar man pannkakor?", "Hur gör man pannkakor?"),
        ("Hvordan laver man pandekager?", "Hvordan bager man pandekager?"),
        ("Miten tehdään pannukakkuja?", "Kuinka tehdään pannukakkuja?"),
        ("Jak se dělají palačinky?", "Jak dělat palačinky?"),
        ("Hogyan kell palacsintát készíteni?", "Hogyan készítsek palacsintát?"),
        ("Cum se fac clătitele?", "Cum fac clătite?"),
        ("Bagaimana cara membuat panekuk?", "Bagaimana membuat panekuk?"),
        ("Com es fan els creps?", "Com puc fer creps?"),
        ("Як приготувати млинці?", "Як мені приготувати млинці?"),
        ("Πώς φτιάχνω τηγανίτες;", "Πώς μπορώ να φτιάξω τηγανίτες;"),
        ("팬케이크는 어떻게 만드나요?", "팬케이크를 어떻게 만드나요?"),
        ("איך מכינים פנקייקים?", "איך להכין פנקייקים?"),
        ("كيف أصنع الفطائر؟", "كيف يمكنني صنع الفطائر؟"),
        ("python list comprehension", "list comprehension python"),
        ("best sushi tokyo", "best sushi in tokyo"),
        ("redis ttl", "redis ttl?"),
    ],
)
def test_rewordings_in_covered_languages_pass(a: str, b: str) -> None:
    assert ALL.check(a, b) is None
    assert ALL.check(b, a) is None


def test_a_word_in_an_uncovered_script_that_both_prompts_hold_is_no_objection() -> None:
    assert ALL.check("What does नमस्ते mean?", "What is the meaning of नमस्ते?") is None
