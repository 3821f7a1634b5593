"""Words that are numbers in one language and something else in English, in prompts too short to show a language."""

import pytest

from semantic_llm_cache.matching.guards import get_guard, resolve_guards
from semantic_llm_cache.matching.guards.lexicon.languages import ALSO_ENGLISH, FUNCTION_WORDS
from semantic_llm_cache.matching.guards.lexicon.numerals import NUMBER_WORDS
from semantic_llm_cache.matching.guards.text import Reading

ENGLISH = [
    "rent due", "bill due", "past due balance", "union dues", "write once run anywhere", "elf on shelf", "seize assets",
    "quince jam recipe", "ms dos commands", "doi lookup", "venti latte calories", "tri state area", "opt out form",
    "ba degree", "sept weather", "50 cent songs", "six pack abs", "fire alarm test",
    "sis birthday gift", "kung fu sifu hai", "firs tree care",
]  # fmt: skip

FOREIGN = [
    ("due gatti neri e tre bianchi", "it"),
    ("Quanti sono due gatti?", "it"),
    ("dos cafés, por favor", "es"),
    ("son las once de la noche", "es"),
    ("no puedo entrar", "es"),
    ("elf Spieler und ein Ball", "de"),
    ("il a six ans", "fr"),
    ("tri knjige i pet olovaka", "hr"),
]

SAME = [
    # Of two texts with the same word, one alone reads as another language.
    ("audi quattro price", "What is the price of an audi quattro?"),
    ("cinco de mayo date", "What is the date of cinco de mayo?"),
    ("tres leches cake recipe", "What is the recipe for a tres leches cake?"),
    ("write once run anywhere meaning", "What is the meaning of write once run anywhere?"),
    ("otto engine parts", "What are the parts of an otto engine?"),
    ("sin city cast", "Who is in the cast of sin city?"),
    ("rent due date", "What is the date that rent is due?"),
]

DIFFERENT = [
    ("due gatti", "tre gatti"),
    ("once euros", "dos euros"),
    ("once euros", "doce euros"),
    ("tri knjige", "pet knjiga"),
    ("elf Spieler", "zwölf Spieler"),
    ("audi quattro price", "What is the price of an audi otto?"),
    ("audi quattro price 2019", "What is the price of an audi quattro in 2021?"),
    ("pizza sin gluten", "pizza con gluten"),
    ("pizza sin gluten", "pizza"),
    ("no fumar", "fumar"),
    ("siete gatos", "What are gatos?"),
]


@pytest.mark.parametrize("prompt", ENGLISH)
def test_a_number_word_that_english_has_too_shows_no_language(prompt: str) -> None:
    assert Reading(prompt).language == "en"


@pytest.mark.parametrize(("prompt", "language"), FOREIGN)
def test_with_another_word_of_the_language_it_does(prompt: str, language: str) -> None:
    assert Reading(prompt).language == language


@pytest.mark.parametrize(("one", "other"), SAME)
@pytest.mark.parametrize("rule", ["numbers", "negation"])
def test_a_word_of_both_texts_is_no_difference(rule: str, one: str, other: str) -> None:
    guard = get_guard(rule)
    assert (guard(one, other), guard(other, one)) == (None, None)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_differs_is_still_seen(one: str, other: str) -> None:
    guards = resolve_guards("default")
    assert guards.check(one, other) is not None
    assert guards.check(other, one) is not None


def test_every_word_of_the_list_is_one_that_is_read_in_another_language() -> None:
    spoken = {word for numbers in NUMBER_WORDS.values() for word in numbers}
    spoken |= {word for language, known in FUNCTION_WORDS.items() if language != "en" for word in known}
    assert len(ALSO_ENGLISH & spoken) > 25
