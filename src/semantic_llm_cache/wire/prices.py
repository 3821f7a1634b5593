"""Money, by the table of ``genai-prices``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from semantic_llm_cache.exceptions import PromptCacheError

__all__ = ["genai_price"]


def genai_price(input_tokens: int, output_tokens: int, response: Any) -> float:
    """Return what an answer cost in USD, by its model. Pass it as ``price=genai_price``.

    Needs ``pip install genai-prices`` (Python 3.11 or later). Nothing is fetched: the table is the package's own.
    A model that the table does not know costs 0 in the statistics.

    Args:
        input_tokens: read by the model.
        output_tokens: written by it.
        response: the answer's JSON body, whose ``model`` names it.

    Raises:
        LookupError: no model in the response, or one that is not in the table.
        PromptCacheError: the package is not installed.
    """
    try:
        from genai_prices import Usage, calc_price
    except ImportError as error:
        raise PromptCacheError(
            'genai_price needs the genai-prices package (Python 3.11 or later): pip install "genai-prices"'
        ) from error
    model = response.get("model") if isinstance(response, Mapping) else getattr(response, "model", None)
    if not isinstance(model, str):
        raise LookupError("the answer names no model")
    usage = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
    return float(calc_price(usage, model_ref=model).total_price)
