"""Words that are numbers in one language and no numbers in another: both answers are read in one language."""

import pytest

from semantic_llm_cache import AnswerJudge

SAME = [
    # "due" is two in Italian, and nothing else in a label of two words shows its language.
    ("Sort this message: when is it to be paid?", "Rent due", "The label is rent due."),
    ("Sort this message: when is it to be paid?", "Payment due.", "It belongs to the category payment due."),
    ("What do members pay?", "Union dues.", "They pay union dues."),
    ("What is Legolas?", "Elf.", "He is an elf."),  # eleven in German
    ("Which fruit is it?", "Quince.", "It is a quince."),  # fifteen in Spanish
    ("Which system did it run?", "DOS.", "It ran on DOS."),  # two in Spanish
    ("What identifies a paper?", "DOI.", "A paper is identified by its DOI."),  # two in Romanian
    ("Which month is it?", "Sept.", "It is Sept."),  # seven in French
    ("Which size of cup?", "Venti.", "The size is venti."),  # twenty in Italian
    # Names with a number word of another language.
    ("Which car is it?", "Audi Quattro.", "It is the Audi Quattro."),
    ("Which holiday is it?", "Cinco de Mayo.", "The holiday is Cinco de Mayo."),
    # The question shows the language where the answers do not.
    ("Quanti gatti ha la signora?", "Due.", "2"),
    ("Quanti gatti ha la signora?", "Due gatti.", "La signora ha due gatti."),
    ("Quanti gatti ha la signora?", "Otto gatti.", "8 gatti."),
    ("¿Cuántos son los hermanos?", "Dos.", "Son 2."),
    ("¿Cuántos son los hermanos?", "Quince.", "15"),
    ("Wie viele Spieler hat eine Mannschaft?", "Elf.", "Eine Mannschaft hat 11 Spieler."),
    ("¿Cuánto cuesta?", "Cinco mil pesos.", "Cuesta 5000 pesos."),
    ("Quanti gatti ha la signora?", "Quattro gatti.", "4 gatti."),
    ("", "Cinco.", "5"),
    ("Combien de mois y a-t-il ?", "Six.", "Il y en a 6."),
]
DIFFERENT = [
    ("Sort this message: when is it to be paid?", "Pay bill", "The label is bill due."),
    ("Sort this message: when is it to be paid?", "Rent", "Rent due"),
    ("What is Legolas?", "Elf.", "He is a dwarf."),
    ("Which fruit is it?", "Quince.", "It is a pear."),
    ("Which car is it?", "Audi Quattro.", "It is the Audi Allroad."),
    ("Quanti gatti ha la signora?", "Due.", "Otto."),
    ("Quanti gatti ha la signora?", "Due gatti.", "La signora ha otto gatti."),
    ("¿Cuántos son los hermanos?", "Dos.", "Son 15."),
    ("Wie viele Spieler hat eine Mannschaft?", "Elf.", "Eine Mannschaft hat 7 Spieler."),
]


async def _verdicts(question: str, one: str, other: str) -> list[bool]:
    judge = AnswerJudge()
    return [(await judge.compare(question, *pair)).same for pair in ((one, other), (other, one))]


@pytest.mark.parametrize(("question", "one", "other"), SAME)
async def test_the_same_word_in_two_frames(question: str, one: str, other: str) -> None:
    assert await _verdicts(question, one, other) == [True, True]


@pytest.mark.parametrize(("question", "one", "other"), DIFFERENT)
async def test_other_words_and_other_numbers(question: str, one: str, other: str) -> None:
    assert await _verdicts(question, one, other) == [False, False]


@pytest.mark.parametrize(
    ("question", "one", "other"),
    [
        ("How many cats?", "Two.", "Eight."),
        ("How many cats?", "Two.", "There are eight."),
        ("How many cats?", "Two.", "One."),
        ("How many cats does she have?", "Two cats.", "She has eight cats."),
        ("How many cats does she have?", "She has one cat.", "She has eight cats."),
        ("What do you know of her?", "She has two cats and a dog.", "She has eight cats and a dog."),
        ("Which phase is it?", "Phase one", "Phase two"),
        ("How long is it?", "One week.", "Two weeks."),
    ],
)
async def test_one_and_two_are_counts_where_the_other_answer_has_another_number(
    question: str, one: str, other: str
) -> None:
    assert await _verdicts(question, one, other) == [False, False]


@pytest.mark.parametrize(
    ("question", "one", "other"),
    [
        ("How many cats?", "Two.", "She has 2 cats."),
        ("What is it?", "A cat.", "It is one cat."),
        ("Who won?", "Spain.", "Spain was the one that won, in 2010."),
    ],
)
async def test_one_is_no_count_where_the_other_answer_has_none(question: str, one: str, other: str) -> None:
    assert await _verdicts(question, one, other) == [True, True]
