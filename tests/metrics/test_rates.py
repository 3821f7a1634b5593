import json

import pytest

from semantic_llm_cache.config import CacheConfig, CacheEntry
from semantic_llm_cache.metrics.pricing import make_price
from semantic_llm_cache.metrics.rates import Call, Rates, rates_of


def calls(price, tokens=((10, 200), (1000, 1), (7, 0), (123, 456))):
    cost = make_price(price)
    return [Call(i, o, cost(i, o, None)) for i, o in tokens]


def test_the_rates_of_a_program_that_names_none():
    found = rates_of(calls(None))
    assert found[0] == 4
    assert found[2:] == (0.001, 0.002, True)
    assert str(found) == "default rates, $0.001 per 1,000 tokens in and $0.002 out"


@pytest.mark.parametrize("rates", [(0.003, 0.015), (0.0, 0.0), (0.00000015, 2.0), (5, 0)])
def test_rates_that_a_program_gave_are_found(rates):
    found = rates_of(calls(CacheConfig(input_cost_per_1k=rates[0], output_cost_per_1k=rates[1])))
    assert (found.input_per_1k, found.output_per_1k) == pytest.approx(rates)
    assert not found.default
    assert str(found).startswith("rates that the programs gave, $")


def test_prices_that_are_no_two_rates_are_given_as_an_average():
    found = rates_of(calls(lambda given, made, response: 0.01 if made > 100 else 0.5))
    assert found.input_per_1k is None
    assert str(found).startswith("prices that the programs gave, on average $")


def test_one_entry_does_not_tell_two_rates_apart():
    assert rates_of(calls(CacheConfig(input_cost_per_1k=0.5), [(10, 20)])).input_per_1k is None


def test_entries_without_tokens_say_nothing():
    assert rates_of([Call.of(CacheEntry("p", "r", cost_usd=1.0))]) is None
    assert rates_of([]) is None
    assert json.dumps(Rates(1, 0.5)._asdict())
