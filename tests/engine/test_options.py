"""Each option is written once: signatures, docstrings and the page of reference agree with the table."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
from langchain_core.language_models import FakeListChatModel

from semantic_llm_cache import CachedLLM, SemanticCache, cache
from semantic_llm_cache.backends import MemoryBackend
from semantic_llm_cache.engine.options import ENGINE_OPTIONS, FUNCTION_OPTIONS, Options
from semantic_llm_cache.integrations.httpx import CachingTransport
from semantic_llm_cache.integrations.langchain import CachedChatModel, LangChainCache
from semantic_llm_cache.wire import WireCache

PROJECT = Path(__file__).parents[2]
NOT_IN_CACHE = {"clock", "max_prompt", "max_response"}
"""Options that `cache` does not name: they belong to a cache of one's own."""


def defaults(function):
    return {
        name: parameter.default
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD
    }


def test_the_signature_of_a_cache_is_the_table():
    assert defaults(SemanticCache) == {name: option.default for name, option in ENGINE_OPTIONS.items()}


def test_the_signature_of_the_decorator_is_the_table():
    table = {name: option.default for name, option in (ENGINE_OPTIONS | FUNCTION_OPTIONS).items()}
    assert defaults(cache) == {name: value for name, value in table.items() if name not in NOT_IN_CACHE}


@pytest.mark.parametrize("documented", [SemanticCache, cache])
def test_docstrings_name_every_option(documented):
    text = inspect.getdoc(documented)
    for name in defaults(documented):
        assert re.search(rf"\b{name}\b", text), name


@pytest.mark.parametrize(("name", "option"), [*ENGINE_OPTIONS.items(), *FUNCTION_OPTIONS.items()])
def test_defaults_pass_their_own_check_and_are_documented_in_one_line(name, option):
    checked = option.check(option.default, name)
    assert option.check(checked, name) == checked
    assert "\n" not in option.doc
    assert option.doc.endswith(".")


def test_the_page_of_reference_is_up_to_date():
    done = subprocess.run(
        [sys.executable, "scripts/write_options.py", "--check"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


# ------------------------------------------------------------------------------ unknown options


def ask(prompt: str):
    return prompt


@pytest.mark.parametrize(
    ("make", "wrong", "right"),
    [
        (lambda **o: SemanticCache("memory://", **o), "similarty", "similarity"),
        (lambda **o: SemanticCache("memory://").derive(**o), "similarty", "similarity"),
        (lambda **o: SemanticCache("memory://").cache(ask, **o), "similarty", "similarity"),
        (lambda **o: SemanticCache("memory://").cache(ask, **o), "promt", "prompt"),
        (lambda **o: cache(**o), "similarty", "similarity"),
        (lambda **o: cache(**o), "result_typ", "result_type"),
        (lambda **o: CachedLLM(**o), "on_evnt", "on_event"),
        (lambda **o: WireCache(**o), "similarty", "similarity"),
        (lambda **o: WireCache(**o), "histry", "history"),
        (lambda **o: WireCache(SemanticCache("memory://"), **o), "tool_call", "tool_calls"),
        (lambda **o: CachingTransport(**o), "max_temprature", "max_temperature"),
        (lambda **o: LangChainCache(**o), "simlarity", "similarity"),
        (lambda **o: CachedChatModel(FakeListChatModel(responses=["a"]), **o), "simlarity", "similarity"),
    ],
)
def test_an_unknown_option_is_told_with_the_nearest(make, wrong, right):
    with pytest.raises(TypeError) as caught:
        make(**{wrong: 1})
    assert str(caught.value).startswith(f"unknown option {wrong!r}: did you mean {right!r}? Known options: ")
    assert "single_flight" in str(caught.value)


def test_one_that_is_near_to_nothing_lists_the_known_ones():
    with pytest.raises(TypeError, match="unknown option 'colour': Known options: backend, "):
        SemanticCache(colour="red")


# ------------------------------------------------------------------------------ deriving


def test_a_derived_cache_differs_only_in_what_was_changed():
    backend = MemoryBackend()
    engine = SemanticCache(backend, ttl="1h", tags=["a"], single_flight="shared", max_prompt=10)
    made = engine.derive(ttl=None, namespace="other")
    assert type(made) is SemanticCache
    assert made.backend is backend
    changed = {name for name in ENGINE_OPTIONS if getattr(made.options, name) != getattr(engine.options, name)}
    assert changed == {"ttl", "namespace"}


def test_a_cache_of_a_class_of_ones_own_derives_its_kind():
    class Mine(SemanticCache):
        def __init__(self, name):
            super().__init__("memory://")
            self.name = name

    assert type(Mine("x").derive(ttl=1)) is Mine


def test_options_are_kept_checked():
    options = Options.read({"ttl": "1h", "tags": "one", "stale_if_error": 5})
    assert (options.ttl, options.tags, options.stale_if_error, options.stale_window) == (3600.0, ("one",), 5.0, 5.0)
