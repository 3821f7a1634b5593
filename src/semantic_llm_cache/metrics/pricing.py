"""What a call cost: tokens from the response's usage, or an estimate; money from rates or a callable."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from semantic_llm_cache.arguments import shown
from semantic_llm_cache.config import CacheConfig, CacheEntry
from semantic_llm_cache.redaction import describe
from semantic_llm_cache.utils import estimate_tokens

__all__ = ["Call", "Price", "make_price", "usage_of"]

logger = logging.getLogger("semantic_llm_cache")

Price = CacheConfig | Callable[[int, int, Any], float] | None
"""Rates per 1,000 tokens, or ``(input_tokens, output_tokens, response) -> USD``."""


class Call:
    """What one call used and cost."""

    __slots__ = ("cost_usd", "input_tokens", "output_tokens")

    def __init__(self, input_tokens: int, output_tokens: int, cost_usd: float) -> None:
        self.input_tokens = input_tokens
        self.output_tokens = output_tokens
        self.cost_usd = cost_usd

    @classmethod
    def of(cls, entry: CacheEntry) -> Call:
        """Return the call that an entry stores the answer of."""
        return cls(entry.input_tokens, entry.output_tokens, entry.cost_usd)


_INPUT = ("prompt_tokens", "input_tokens", "prompt_eval_count")
_OUTPUT = ("completion_tokens", "output_tokens", "eval_count")


def _read(holder: Any, name: str) -> Any:
    return holder.get(name) if isinstance(holder, Mapping) else getattr(holder, name, None)


def usage_of(response: Any, prompt: str, text: str | None = None) -> tuple[int, int]:
    """Return (input, output) tokens: the response's own usage if it has one, else estimates from the text.

    `text` is the response as text, if the caller has it: writing a large one takes long.
    """
    try:
        return _usage_of(response, prompt, text)
    except Exception as error:  # a response whose own code raises must not cost the caller the answer
        logger.debug("semantic-llm-cache: no usage in the response: %s", describe(error))
        return estimate_tokens(prompt), 0


def _usage_of(response: Any, prompt: str, text: str | None) -> tuple[int, int]:
    if not isinstance(response, (str, bytes)):
        usage = _read(response, "usage")
        for holder in (usage, response):
            if holder is None:
                continue
            given = next((v for name in _INPUT if isinstance(v := _read(holder, name), int)), None)
            made = next((v for name in _OUTPUT if isinstance(v := _read(holder, name), int)), None)
            if given is not None or made is not None:
                return given or 0, made or 0
    if text is None:
        text = response if isinstance(response, str) else "" if response is None else str(response)
    return estimate_tokens(prompt), estimate_tokens(text if isinstance(response, str) else text[:100_000])


def make_price(price: Price) -> Callable[[int, int, Any], float]:
    """Return a function from tokens and response to USD that never raises.

    Raises:
        TypeError: `price` is neither a `CacheConfig` nor callable.
    """
    if price is None or isinstance(price, CacheConfig):
        rates = price or CacheConfig()

        def from_rates(given: int, made: int, response: Any) -> float:
            return given / 1000 * rates.input_cost_per_1k + made / 1000 * rates.output_cost_per_1k

        return from_rates
    if not callable(price):
        raise TypeError(f"price={shown(price)} must be a CacheConfig or a callable (input, output, response) -> USD")
    custom = price

    def from_callable(given: int, made: int, response: Any) -> float:
        try:
            return float(custom(given, made, response))
        except Exception as error:  # an unknown model must not cost the caller the answer
            logger.debug("semantic-llm-cache: price raised %s", describe(error))
            return 0.0

    return from_callable
