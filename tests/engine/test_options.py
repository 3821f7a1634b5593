"""Each option is written once: signatures, docstrings and the page of reference agree with the table."""

import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import httpx
import pytest
from langchain_core.language_models import FakeListChatModel

from semantic_llm_cache import CacheContext, CachedLLM, PromptCacheError, SemanticCache, cache
from semantic_llm_cache.backends import MemoryBackend
from semantic_llm_cache.calls.control import CacheControl, cache_control
from semantic_llm_cache.engine import keywords
from semantic_llm_cache.engine.options import ENGINE_OPTIONS, FUNCTION_OPTIONS, Options
from semantic_llm_cache.integrations.httpx import CachingTransport
from semantic_llm_cache.integrations.httpx import wrap as wrap_httpx
from semantic_llm_cache.integrations.langchain import CachedChatModel, LangChainCache
from semantic_llm_cache.similarity import create_embedding_provider, set_default_embedder
from semantic_llm_cache.wire import WireCache
from semantic_llm_cache.wire.keywords import WireOptions

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


def types(function):
    return {name: kind for name, kind in get_type_hints(function).items() if name not in ("unknown", "return")}


def test_type_checkers_see_the_options_of_the_table():
    assert types(keywords.EngineOptions) == types(SemanticCache.__init__)
    assert types(keywords.DerivedOptions).keys() == (ENGINE_OPTIONS | FUNCTION_OPTIONS).keys()
    seen = {name: kind for name, kind in types(keywords.DerivedOptions).items() if name not in NOT_IN_CACHE}
    assert seen == types(cache) | {"similarity": float}  # which may also be the function
    first = list(inspect.signature(cache).parameters)[:6]
    assert types(keywords.DecoratorOptions) == {name: kind for name, kind in seen.items() if name not in first}


def test_type_checkers_see_the_options_of_doors():
    assert types(WireOptions).keys() == ENGINE_OPTIONS.keys() | defaults(WireCache).keys()
    positional = ("similarity", "ttl", "backend", "namespace", "enabled")
    assert types(keywords.ModelOptions).keys() == ENGINE_OPTIONS.keys() - set(positional)


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
        (lambda **o: CachedLLM(**o), "modell", "model"),
        (lambda **o: CachedLLM("openai", "m", **o), "providr", "provider"),
        (lambda **o: CachingTransport(**o), "similarty", "similarity"),
        (lambda **o: LangChainCache(**o), "simlarity", "similarity"),
        (lambda **o: LangChainCache(**o), "cach", "cache"),
        (lambda **o: wrap_httpx(httpx.Client(), **o), "similarty", "similarity"),
        (lambda **o: wrap_httpx(httpx.Client(), **o), "neutral_header", "neutral_headers"),
        (lambda **o: CachedChatModel(FakeListChatModel(responses=["a"]), **o), "simlarity", "similarity"),
    ],
)
def test_an_unknown_option_is_told_with_the_nearest(make, wrong, right):
    with pytest.raises(TypeError) as caught:
        make(**{wrong: 1})
    assert str(caught.value).startswith(f"unknown option {wrong!r}: did you mean {right!r}? Known options: ")
    assert "single_flight" in str(caught.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CacheContext(similarty=0.9), "unknown option 'similarty': did you mean 'similarity'? Known options: "),
        (lambda: CacheContext(threshold=0.9), "unknown option 'threshold': did you mean 'similarity'? Known options: "),
        (lambda: CacheContext(cache_control="no-cach"), "unknown directive 'no-cach': did you mean 'no-cache'?"),
        (lambda: CacheControl.read({"max_agee": 3}), "unknown directive 'max-agee': did you mean 'max-age'?"),
        (lambda: cache_control("onlyifcached"), "did you mean 'only-if-cached'? Known directives: no-cache, "),
        (lambda: cache_control(similarty=0.9), "unknown directive 'similarty': did you mean 'similarity'?"),
        (
            lambda: SemanticCache("sqlite:///x?busy_timout=1"),
            "unknown option 'busy_timout': did you mean 'busy_timeout'? Known options: busy_timeout, ",
        ),
        (lambda: SemanticCache("sqlite:///x?timout=1"), "unknown option 'timout': did you mean 'busy_timeout'?"),
        (lambda: SemanticCache("memory://?maxsize=1"), "unknown option 'maxsize': did you mean 'max_size'?"),
        (lambda: SemanticCache("redis://h?timout=1"), "unknown option 'timout': did you mean 'timeout'?"),
        (lambda: SemanticCache("postgresql://h/d?pool_mx=1"), "unknown option 'pool_mx': did you mean 'pool_max'?"),
        (lambda: SemanticCache("sqllite:///x"), "sqllite:// is not known (did you mean sqlite://?): use one of "),
        (
            lambda: SemanticCache(embedder="onxx", similarity=0.9),
            "'onxx': did you mean 'onnx'? Known",
        ),
        (lambda: create_embedding_provider("opnai:x"), "'opnai': did you mean 'openai'? Known embedding providers: "),
        (lambda: set_default_embedder("dumy"), "'dumy': did you mean 'dummy'? Known embedding providers: auto, "),
        (lambda: CachedLLM("opnai").chat("q"), "unknown provider 'opnai': did you mean 'openai'? Known providers: "),
        (
            lambda: SemanticCache(guards="numbrs", similarity=0.9, embedder="dummy"),
            "did you mean 'numbers'?",
        ),
    ],
)
def test_other_unknown_names_are_reported_alike(make, message):
    with pytest.raises((TypeError, ValueError, PromptCacheError)) as caught:
        make()
    assert message in str(caught.value)


def test_a_door_and_options_beside_it_are_refused():
    with pytest.raises(TypeError, match="door= and similarity=: options are given to the door itself"):
        wrap_httpx(httpx.Client(), door=WireCache(), similarity=0.9)
    with pytest.raises(TypeError, match="door= and ttl="):
        CachingTransport(door=WireCache(), ttl=3)


def test_one_that_is_near_to_nothing_lists_the_known_ones():
    with pytest.raises(TypeError, match=r"unknown option 'colour'\. Known options: backend, "):
        SemanticCache(colour="red")


@pytest.mark.parametrize(("foreign", "ours"), [("threshold", "similarity"), ("expire", "ttl"), ("model", "embedder")])
def test_a_name_from_another_library_is_answered_with_ours(foreign, ours):
    for make in (SemanticCache, cache):
        with pytest.raises(TypeError, match=f"unknown option '{foreign}': did you mean '{ours}'"):
            make(**{foreign: 1})


@pytest.mark.parametrize("name", ["evidence_overlap", "jitter"])
@pytest.mark.parametrize(("value", "error"), [(2, ValueError), (-0.1, ValueError), ("a", TypeError)])
def test_a_share_that_is_no_similarity_is_not_explained_as_one(name, value, error):
    with pytest.raises(error, match=rf"^{name}=.* from 0 to 1, such as 0\.1") as caught:
        SemanticCache(**{name: value})
    assert "exact" not in str(caught.value)


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
