from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semantic_llm_cache.config import parse_ttl


@pytest.mark.parametrize(
    ("ttl", "seconds"),
    [
        (None, None), (3600, 3600.0), (0.5, 0.5), (timedelta(minutes=2), 120.0), ("90s", 90.0), ("1h30m", 5400.0),
        ("7d", 604800.0), ("1w", 604800.0), ("250ms", 0.25), ("1.5h", 5400.0), (" 1H 30M ", 5400.0),
        ("30m1h", 5400.0), ("2m500ms", 120.5),
        (0, 0.0), (0.0, 0.0), (timedelta(0), 0.0), ("0s", 0.0),
    ],
)  # fmt: skip
def test_reads(ttl, seconds):
    assert parse_ttl(ttl) == seconds


@pytest.mark.parametrize(
    "ttl",
    [
        -1, -0.5, float("nan"), float("inf"), -float("inf"), 10**400, timedelta(seconds=-1), "", " ", "90",
        "s", "1x", "1h30", "-1s", "1 hour", "h1", "1e3s",
    ],
)  # fmt: skip
def test_refuses_naming_the_argument_and_the_ways(ttl):
    with pytest.raises(ValueError, match=r"^lifetime=.*(cannot be read|zero or more): use seconds"):
        parse_ttl(ttl, "lifetime")


@pytest.mark.parametrize("ttl", [True, False, [60], b"60s", Fraction(1), object()])
def test_refuses_other_types(ttl):
    with pytest.raises(TypeError, match="ttl="):
        parse_ttl(ttl)


SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@given(st.lists(st.tuples(st.integers(1, 999), st.sampled_from(sorted(SECONDS))), min_size=1, max_size=5))
def test_text_is_the_sum_of_its_parts(parts):
    text = "".join(f"{number}{unit}" for number, unit in parts)
    assert parse_ttl(text) == pytest.approx(sum(number * SECONDS[unit] for number, unit in parts))


@given(st.text(max_size=12))
def test_any_text_is_seconds_or_a_value_error(text):
    try:
        assert parse_ttl(text) >= 0
    except ValueError:
        pass
