"""`CachedLLM`: with functions, and with the real SDKs against a local server."""

import asyncio
import importlib
import sys
import threading

import pytest

from semantic_llm_cache import CachedLLM, CacheKeyError, PromptCacheError, get_stats, last_lookup
from semantic_llm_cache.backends import MemoryBackend
from servers import chat_server


class Model:
    def __init__(self):
        self.asked = []

    def __cache_scope__(self):
        return "all models answer alike, whatever they were asked before"

    def __call__(self, prompt, **options):
        self.asked.append((prompt, options))
        return f"{prompt.upper()} {len(self.asked)}"

    async def later(self, prompt, **options):
        await asyncio.sleep(0)
        return self(prompt, **options)


# -------------------------------------------------------------------------------- functions


async def test_achat_with_async_and_plain_functions():
    model, llm = Model(), CachedLLM()
    for _ in range(2):
        assert await llm.achat("a", llm_func=model.later) == "A 1"
        assert await llm.achat("a", llm_func=model) == "A 2"  # another function is another question
    assert await llm.achat("b", llm_func=model, temperature=0.5) == "B 3"
    assert model.asked == [("a", {}), ("a", {}), ("b", {"temperature": 0.5})]


def test_chat_with_plain_and_async_functions():
    model, llm = Model(), CachedLLM()
    for _ in range(2):
        assert llm.chat("a", llm_func=model) == "A 1"
        assert llm.chat("a", llm_func=model.later) == "A 2"
    assert llm.chat("b", llm_func=model.later) == "B 3"
    assert last_lookup().outcome == "miss"


async def test_chat_inside_a_running_loop():
    model, llm = Model(), CachedLLM()
    assert llm.chat("a", llm_func=model) == "A 1"
    assert await llm.achat("a", llm_func=model) == "A 1"


async def test_provider_model_and_keywords_are_scope():
    model, shared = Model(), MemoryBackend()
    for provider, name, options in [
        ("openai", "gpt-4", {}),
        ("openai", "gpt-5", {}),
        ("mine", "gpt-4", {}),
        ("openai", "gpt-4", {"temperature": 0}),
        ("openai", "gpt-4", {"temperature": 0.0}),
        ("openai", "gpt-4", {"tools": [{"name": "a"}]}),
    ]:
        llm = CachedLLM(provider, name, backend=shared)
        before = len(model.asked)
        for _ in range(2):
            await llm.achat("q", llm_func=model, **options)
        assert len(model.asked) == before + 1
    assert len(model.asked) == 6


async def test_defaults_and_settings():
    llm = CachedLLM()
    assert (llm.provider, llm.model) == ("openai", "gpt-4")
    now = [0.0]
    model = Model()
    llm = CachedLLM("openai", "gpt-4", 1.0, 10, MemoryBackend(), "faq", True, clock=lambda: now[0])
    await llm.achat("q", llm_func=model)
    assert last_lookup().namespace == "faq"
    now[0] = 11.0
    await llm.achat("q", llm_func=model)
    assert len(model.asked) == 2
    off = CachedLLM(enabled=False)
    await off.achat("q", llm_func=model)
    await off.achat("q", llm_func=model)
    assert len(model.asked) == 4


async def test_near_hits():
    model = Model()
    llm = CachedLLM(similarity=0.9, embedder=lambda text: [1.0, len(text) / 100])
    assert await llm.achat("abc", llm_func=model) == await llm.achat("abd", llm_func=model) == "ABC 1"
    assert last_lookup().outcome == "near"
    assert llm.chat("abe", llm_func=model) == "ABC 1"


async def test_same_prompts_at_once_call_once():
    model, llm = Model(), CachedLLM()
    answers = await asyncio.gather(*(llm.achat("q", llm_func=model.later) for _ in range(20)))
    assert set(answers) == {"Q 1"}
    threads = [threading.Thread(target=llm.chat, args=("r", model)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(model.asked) == 2


async def test_errors_pass_through_and_are_not_cached():
    llm = CachedLLM()

    def fail(prompt):
        raise ConnectionError(prompt)

    for ask in (llm.chat, llm.chat):
        with pytest.raises(ConnectionError):
            ask("q", llm_func=fail)
    with pytest.raises(ConnectionError):
        await llm.achat("q", llm_func=fail)
    assert await llm.achat("q", llm_func=str.upper) == "Q"


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: CachedLLM(provider=""), "provider="),
        (lambda: CachedLLM(model=None), "model="),
        (lambda: CachedLLM(similarity=2), "similarity="),
        (lambda: CachedLLM(ttl=-1), "ttl="),
        (lambda: CachedLLM(nonsense=1), "nonsense"),
        (lambda: CachedLLM().chat(3, llm_func=str), "prompt"),
        (lambda: CachedLLM().chat("q", llm_func="f"), "llm_func="),
    ],
)
def test_bad_arguments_are_named(make, named):
    with pytest.raises((TypeError, ValueError), match=named):
        make()


def test_a_keyword_without_a_form_is_named():
    with pytest.raises(CacheKeyError, match="argument 'http_client' of chat"):
        CachedLLM().chat("q", llm_func=str, http_client=object())


async def test_an_unknown_provider_needs_a_function():
    llm = CachedLLM("mine", "m")
    for _ in range(2):
        with pytest.raises(PromptCacheError, match=r"'mine': Known providers: openai, anthropic, ollama.*llm_func="):
            await llm.achat("q")
        with pytest.raises(PromptCacheError, match="unknown provider 'mine'"):
            llm.chat("q")
    assert llm.chat("q", llm_func=str.upper) == "Q"
    with pytest.raises(PromptCacheError, match="unknown provider 'mine'"):
        llm.chat("q")  # what a function answered is not what the provider would


@pytest.mark.parametrize("name", ["openai", "anthropic", "ollama"])
async def test_a_missing_sdk_names_its_extra(monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    llm = CachedLLM(name, "m")
    for ask in (lambda: llm.chat("q"), lambda: asyncio.run(llm.achat("q"))):
        with pytest.raises(PromptCacheError, match=rf"pip install {name}, or pass llm_func="):
            await asyncio.to_thread(ask)


# ------------------------------------------------------------------------------ the real SDKs


@pytest.fixture
def server(monkeypatch):
    with chat_server() as running:
        monkeypatch.setenv("OPENAI_BASE_URL", running.url + "/v1")
        monkeypatch.setenv("OPENAI_API_KEY", "sk-one")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", running.url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-two")
        monkeypatch.setenv("OLLAMA_HOST", running.url)
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield running


SDKS = {
    "openai": ("/v1/chat/completions", {"Bearer sk-one"}, {"temperature": 0.5}),
    "anthropic": ("/v1/messages", {"Bearer sk-two", "sk-two"}, {"max_tokens": 7}),
    "ollama": ("/api/chat", {"application/json"}, {"options": {"seed": 1}}),
}


@pytest.mark.parametrize("provider", SDKS)
async def test_sdk_is_called_once_with_model_key_and_options(server, provider):
    path, told, options = SDKS[provider]
    llm = CachedLLM(provider, "some-model")
    assert await llm.achat("what is this?") == "WHAT IS THIS?"
    assert await llm.achat("what is this?") == "WHAT IS THIS?"
    assert llm.chat("what is this?") == "WHAT IS THIS?"
    assert len(server.seen) == 1
    assert llm.chat("in plain code", **options) == "IN PLAIN CODE"
    assert llm.chat("in plain code", **options) == "IN PLAIN CODE"
    assert len(server.seen) == 2
    for at, headers, body in server.seen:
        assert at == path
        assert told & set(headers.values())  # which header carries the key is the SDK's own affair
        assert body["model"] == "some-model"
        assert body["messages"][-1]["role"] == "user"
    assert server.seen[0][2]["messages"] == [{"role": "user", "content": "what is this?"}]
    assert server.seen[1][2].items() >= options.items()
    assert get_stats()["exact_hits"] == 3


@pytest.mark.parametrize("provider", SDKS)
async def test_errors_of_an_sdk_pass_through(server, provider):
    sdk = importlib.import_module(provider)
    error = {"openai": "BadRequestError", "anthropic": "BadRequestError", "ollama": "ResponseError"}[provider]
    llm = CachedLLM(provider, "m")
    server.fail_with = 400
    with pytest.raises(getattr(sdk, error)):
        await llm.achat("q")
    with pytest.raises(getattr(sdk, error)):
        llm.chat("q")
    server.fail_with = None
    assert await llm.achat("q") == "Q"


async def test_many_at_once(server):
    llm = CachedLLM("openai", "m")
    answers = await asyncio.gather(*(llm.achat(f"q{i % 4}") for i in range(40)))
    assert answers == [f"Q{i % 4}" for i in range(40)]
    assert len(server.seen) == 4


def test_under_two_event_loops(server):
    llm = CachedLLM("anthropic", "m")
    assert [asyncio.run(llm.achat("q")) for _ in range(2)] == ["Q", "Q"]
    assert asyncio.run(llm.achat("r")) == "R"
    assert len(server.seen) == 2
