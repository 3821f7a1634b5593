"""Each door to an SDK or a framework names an unknown option, the nearest known one, and all known ones."""

import anthropic
import ollama
import openai
import pytest

from semantic_llm_cache.integrations.anthropic import wrap as wrap_anthropic
from semantic_llm_cache.integrations.ollama import wrap as wrap_ollama
from semantic_llm_cache.integrations.openai import wrap as wrap_openai


@pytest.mark.parametrize(
    ("make", "wrong", "right"),
    [
        (lambda **o: wrap_openai(openai.OpenAI(api_key="k"), **o), "similarty", "similarity"),
        (lambda **o: wrap_anthropic(anthropic.Anthropic(api_key="k"), **o), "share_across_key", "share_across_keys"),
        (lambda **o: wrap_ollama(ollama.Client(), **o), "tool_call", "tool_calls"),
    ],
)
def test_an_unknown_option_is_reported_with_the_nearest(make, wrong, right):
    with pytest.raises(TypeError) as caught:
        make(**{wrong: 1})
    assert str(caught.value).startswith(f"unknown option {wrong!r}: did you mean {right!r}? Known options: ")
