"""Choosing guards, one's own callables, features, the residual, and what holds for any text."""

import logging
import threading
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from semantic_llm_cache.matching.guards import DEFAULT_GUARDS, GuardSet, Veto, get_guard, residual, resolve_guards
from semantic_llm_cache.matching.guards.lexicon import words
from semantic_llm_cache.matching.guards.text import Reading, read, stem

ALL = resolve_guards("default")
NUMBERS = resolve_guards(["numbers"])


def test_default_is_all_rules_and_none_is_no_rule() -> None:
    assert ALL.names == DEFAULT_GUARDS
    assert len(resolve_guards(None)) == len(resolve_guards("none")) == 0
    assert resolve_guards(None).check("5 miles", "6 miles") is None
    assert resolve_guards(ALL) is ALL


def test_many_times_of_day_take_no_quadratic_time() -> None:
    def seconds(count: int) -> float:
        text = "12:00 " * count
        best = 9.0
        for end in ("a", "b", "c"):  # each a text that is read for the first time
            began = time.process_time()
            NUMBERS.check(text + end, text + end + " x")
            best = min(best, time.process_time() - began)
        return best

    assert seconds(4000) < 12 * max(seconds(500), 0.001)  # 64 times as long if quadratic


def test_names_switch_rules_on_one_by_one() -> None:
    only_times = resolve_guards({"times"})
    assert only_times.check("5 miles today", "6 miles today") is None
    assert only_times.check("5 miles today", "5 miles tomorrow") == Veto("times", "time today != tomorrow")
    assert resolve_guards("numbers").names == ("numbers",)
    assert resolve_guards(["swap", "numbers"]).names == ("numbers", "swap")  # always in the order of DEFAULT_GUARDS


def test_own_callables_mix_with_names() -> None:
    def length(prompt: str, candidate: str) -> str | None:
        return "length differs" if len(prompt) != len(candidate) else None

    guards = resolve_guards(["default", length, lambda a, b: None])
    assert guards.names == (*DEFAULT_GUARDS, "length", "<lambda>")
    assert guards.check("a dog", "a small dog") == Veto("length", "length differs")
    assert str(guards.check("5 miles", "6 miles")) == "number 5 miles != 6 miles"
    assert resolve_guards(length).names == ("length",)
    assert resolve_guards([length, length]).names == ("length", "length 2")


def test_a_built_in_rule_may_be_given_as_a_callable() -> None:
    assert resolve_guards([get_guard("numbers")]).names == ("numbers",)


def test_unknown_names_are_listed() -> None:
    with pytest.raises(ValueError, match=r"unknown rule 'nubers'.*numbers.*swap"):
        resolve_guards(["nubers"])
    with pytest.raises(ValueError, match="unknown rule 'nubers'"):
        get_guard("nubers")
    with pytest.raises(ValueError, match="unknown rule 'none'"):
        resolve_guards(["none", "numbers"])


@pytest.mark.parametrize("wrong", [5, [5], [None]])
def test_wrong_types(wrong: object) -> None:
    with pytest.raises(TypeError, match="guards must be"):
        resolve_guards(wrong)  # type: ignore[arg-type]


def test_a_guard_that_raises_counts_as_a_veto_and_is_logged_once_without_the_prompt(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(prompt: str, candidate: str) -> str | None:
        raise RuntimeError(prompt)

    guards = resolve_guards([broken])
    with caplog.at_level(logging.WARNING, "semantic_llm_cache"):
        assert guards.check("my secret", "other") == Veto("broken", "guard broken raised RuntimeError")
        assert guards.check("my secret", "third") is not None
    assert len(caplog.records) == 1
    assert "secret" not in caplog.text


def test_a_guard_that_returns_something_else_counts_as_a_veto() -> None:
    veto = resolve_guards([lambda a, b: False]).check("a", "b")  # type: ignore[arg-type, return-value]
    assert veto is not None
    assert "returned bool" in veto.reason


def test_features_ask_all_guards() -> None:
    features = ALL.features("5 miles today", "6 miles tomorrow")
    assert tuple(features) == DEFAULT_GUARDS
    assert {name for name, value in features.items() if value} == {"numbers", "times"}
    assert set(ALL.features("same", "same").values()) == {0.0}


def test_residual_of_long_prompts_with_a_shared_passage() -> None:
    page = "lorem ipsum dolor " * 20
    assert residual(page + "Summarise it.", page + "Translate it.") == ("Summarise", "Translate")
    assert residual(page + "Summarise it.", page + "Summarise it. Now") == ("", "Now")
    assert residual(page, page) is None
    assert residual(page + "a", (page + "b").replace("  ", " ")) == ("a", "b")
    assert residual("Summarise it.", "Translate it.") is None  # short
    assert residual("one " * 50, "two " * 50) is None  # nothing shared
    assert residual(page + "a", page + "b " * 200) is None  # shares too little of the longer one


def test_a_prompt_is_read_once_for_all_its_candidates() -> None:
    prompt = "a prompt that no other test reads: 17 gnats"
    first = read(prompt)
    ALL.check(prompt, "another text")
    assert read(prompt) is first


def test_reading_from_many_threads() -> None:
    failures: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            for i in range(300):
                assert ALL.check(f"{i} miles {seed}", f"{i} miles {seed}?") is None
                assert ALL.check(f"{i} miles", f"{i + 1} miles") is not None
        except BaseException as error:  # reported below, in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.parametrize(
    ("a", "b"),
    [("increasing", "increase"), ("increases", "increase"), ("bought", "buy"), ("stopped", "stop"), ("cities", "city")],
)
def test_stem_joins_forms_of_a_word(a: str, b: str) -> None:
    assert stem(a) == stem(b)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("How do I sort a list?", "en"),
        ("Wie verkaufe ich mein Auto?", "de"),
        ("Comment puis-je vendre ma voiture ?", "fr"),
        ("¿Cómo puedo vender mi coche?", "es"),
        ("Como posso vender o meu carro?", "pt"),
        ("Come posso vendere la mia auto?", "it"),
        ("Hoe kan ik mijn auto verkopen?", "nl"),
        ("Jak mogę sprzedać swój samochód?", "pl"),
        ("Как продать машину?", "ru"),
        ("如何卖车？", "zh"),
        ("Hesabımı nasıl kapatırım?", "tr"),
        ("Kaip pakeisti slaptažodį?", "lt"),
        ("What did Erdoğan say about Ağrı?", "en"),
        ("Wer ist Erdoğan?", "de"),
        ("sort list", "en"),
    ],
)
def test_language_of_a_prompt(text: str, language: str) -> None:
    assert Reading(text).language == language


# Words that the rules know, glued at random, reach more of them than random characters do.
PIECES = words(
    "not never un safe unsafe 5 five 1,000 50% $ € km miles today last week May IT it us US A B to from and , ? . "
    "\"x\" 'y' `z` range(3) a-b == --soft v2.1 3.10 ORD-12 get_x 😂 🇫🇷 año ano Paris France in French as JSON table "
    "who when 明天 不 三 から と ٣ ½ ² \ud800 \u0301 İ ß ſ http://a/ a@b.c /x/y -5 12:30 3pm the of is"
)
SNIPPETS = st.lists(st.sampled_from(sorted(PIECES)), max_size=14).map(" ".join)
TEXT = st.one_of(st.text(max_size=60), SNIPPETS)


@settings(max_examples=150, deadline=None)
@given(TEXT, TEXT)
@example("İ", "i̇")
@example("1" * 5000, "2" * 5000)
@example("- - -1 ", "--")
def test_no_pair_of_texts_breaks_a_rule(a: str, b: str) -> None:
    features = ALL.features(a, b)
    veto = ALL.check(a, b)
    assert (veto is not None) == any(features.values())
    if veto is not None:
        assert veto.reason
        assert features[veto.rule] == 1.0


@settings(max_examples=150, deadline=None)
@given(TEXT)
def test_nothing_differs_from_itself(text: str) -> None:
    for name in DEFAULT_GUARDS:
        assert get_guard(name)(text, text) is None
    # Nor does a copy that was read separately.
    new, old = Reading(text), Reading(text)
    for name in DEFAULT_GUARDS:
        assert get_guard(name).compare(new, old) is None  # type: ignore[attr-defined]


@settings(max_examples=200, deadline=None)
@given(TEXT, TEXT)
def test_a_difference_is_one_from_both_sides(a: str, b: str) -> None:
    for name in DEFAULT_GUARDS:
        guard = get_guard(name)
        assert (guard(a, b) is None) == (guard(b, a) is None), name


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=60), st.lists(st.sampled_from(["a", "b", "c"]), max_size=60))
def test_residual_rebuilds_both_prompts(a: list[str], b: list[str]) -> None:
    left = residual(" ".join(a), " ".join(b))
    if left is None:
        return
    ours, theirs = (part.split() for part in left)
    shared = len(a) - len(ours)
    assert shared == len(b) - len(theirs)
    assert shared >= 0.6 * max(len(a), len(b))
    start = next(i for i in range(shared + 1) if a[:i] + ours + a[i + len(ours) :] == a and a[:i] == b[:i]
                 and a[i + len(ours) :] == b[i + len(theirs) :])  # fmt: skip
    assert b[:start] + theirs + b[start + len(theirs) :] == b


def test_guard_set_is_a_public_type() -> None:
    assert isinstance(ALL, GuardSet)
    assert "numbers" in repr(ALL)


@pytest.mark.parametrize("word", ["pet", "fire", "skin care", "men", "set", "Lima", "dog"])
def test_a_word_that_another_language_has_too_makes_no_english_prompt_foreign(word: str) -> None:
    guards = resolve_guards("default")
    assert guards.check(f"safe {word} products", f"unsafe {word} products") is not None
    assert guards.check(f"{word} adoption before 2020", f"{word} adoption after 2020") is not None
    assert guards.check(f"{word} insurance", f"insurance for {word}") is None


def test_such_a_word_counts_beside_others_of_its_language() -> None:
    assert [Reading(text).language for text in ("Er hat Hunger", "fire børn", "sex och sju")] == ["de", "da", "sv"]
    guards = resolve_guards("default")
    assert guards.check("pet knjiga", "tri knjige") is not None
    assert guards.check("fire katte", "tre katte") is not None
