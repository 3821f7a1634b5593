"""The values in answers, and which of them may be one."""

import pytest

from semantic_llm_cache.matching.answers.values import agree, values, without_values

AGREE = [
    ("8,849 m", "about 8.85 km"),
    ("about 300,000 km/s", "299,792,458 m/s"),
    ("84 million", "83.8 million"),
    ("three hundred and sixty-six", "366"),
    ("1.5", "3/2"),
    ("90 minutes", "an hour and a half"),
    ("37 °C", "98.6 degrees Fahrenheit"),
    ("42.195 km", "26.2 miles"),
    ("8", "eight bits"),
    ("July 20, 1969", "20th of July, 1969"),
    ("1969", "1969-07-20"),
    ("12/25", "December 25"),
    ("14:30", "2:30 pm"),
    ("9 in the morning", "9 in the morning"),
    ("eighteenth century", "18th century"),
    ("1,024", "2^10"),
]
DISAGREE = [
    ("365", "366"),
    ("30", "35"),
    ("12", "12.4"),
    ("384,400 km", "384,400 miles"),
    ("25 °C", "25 °F"),
    ("$1,999", "$2,000"),
    ("13.8 billion", "13.8 million"),
    ("3", "-3"),
    ("2:1", "1:2"),
    ("version 3.1", "version 3.10"),
    ("July 20, 1969", "July 24, 1969"),
    ("476 AD", "476 BC"),
    ("9 am", "9 pm"),
    ("1945", "1950"),
]


@pytest.mark.parametrize(("one", "other"), AGREE)
def test_the_same_value(one, other):
    assert agree(values(one)[0], values(other)[0])
    assert agree(values(other)[0], values(one)[0])


@pytest.mark.parametrize(("one", "other"), DISAGREE)
def test_another_value(one, other):
    assert not agree(values(one)[0], values(other)[0])
    assert not agree(values(other)[0], values(one)[0])


def test_both_ends_of_a_range_have_its_unit():
    assert [v.number for v in values("every two to three weeks")] == [1209600, 1814400]


def test_what_is_left_are_the_words():
    assert "kg" not in without_values("It weighs 5 kg today.")
    assert "today" in without_values("It weighs 5 kg today.")
