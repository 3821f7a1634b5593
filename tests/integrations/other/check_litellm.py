"""LiteLLM's cache, with a provider on the loopback interface. Run by `test_other_versions.py`."""

import asyncio

import litellm
import pytest
from proxy_server import proxy

from semantic_llm_cache import CacheContext, cache, last_lookup
from semantic_llm_cache.backends import EncryptedBackend, SQLiteBackend
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.exceptions import CacheNotFoundError
from semantic_llm_cache.integrations.litellm import LiteLLMCache
from semantic_llm_cache.keys.fingerprint import fingerprint_instance

ASKED = "How do I reset my password?"
AGAIN = "How can I reset my password?"


def user(text):
    return [{"role": "user", "content": text}]


@pytest.fixture
def use():
    def install(**options):
        litellm.cache = LiteLLMCache(similarity=0.9, **options)
        return litellm.cache

    yield install
    litellm.cache = None


def options(server, text=ASKED, **more):
    return {
        "model": "openai/m", "messages": user(text), "api_base": f"{server.url}/v1", "api_key": "k", "caching": True,
        **more,
    }  # fmt: skip


def fields(answer):
    """Return an answer without what LiteLLM itself makes anew."""
    found = answer.model_dump()
    return {name: found[name] for name in ("id", "choices", "model", "object", "created", "system_fingerprint")}


async def asked(server, *arguments, **more):
    answer = await litellm.acompletion(**options(server, *arguments, **more))
    await asyncio.sleep(0.1)  # LiteLLM stores answers in a task of its own
    return answer


async def test_a_paraphrase_makes_no_request(server, use):
    use()
    first = await asked(server)
    second = await asked(server, AGAIN)
    assert server.calls == 1
    assert type(second) is type(first)
    assert fields(second) == fields(first)
    assert second.usage.total_tokens == 21


async def test_the_last_lookup_is_never_an_earlier_one(server, use):
    use()

    @cache(backend="memory://")
    def other(prompt: str) -> str:
        return prompt

    def is_not_stale():
        found = last_lookup()
        return found is None or found.prompt == ASKED

    for _ in ("miss", "hit"):
        other("something else")
        await asked(server)
        assert is_not_stale()
        other("something else")
        litellm.completion(**options(server))
        assert is_not_stale()
    with CacheContext() as calls:
        await asked(server)
    assert [lookup.outcome for lookup in calls.lookups] == ["exact"]


def test_plain_code(server, use):
    use()
    first = litellm.completion(**options(server))
    second = litellm.completion(**options(server, AGAIN))
    assert fields(second) == fields(first)
    assert server.calls == 1


@pytest.mark.parametrize(
    "other",
    [
        {"model": "openai/n"},
        {"temperature": 0.5},
        {"api_key": "other"},
        {"messages": [{"role": "system", "content": "Be brief."}, *user(ASKED)]},
        {"messages": [*user("Hello"), {"role": "assistant", "content": "Hi"}, *user(ASKED)]},
        {"seed": 7},
        {"tools": [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}]},
        {"organization": "other"},
        {"extra_headers": {"x-tenant": "other"}},
        {"extra_body": {"tenant": "other"}},
        {"metadata": {"user_id": "other"}},
        {"user": "other"},
        {"made_up": "other"},
        {"cache_key": "mine"},
    ],
    ids=lambda other: next(iter(other)) if "messages" not in other else f"messages-{len(other['messages'])}",
)
@pytest.mark.parametrize("plain", [True, False])
async def test_asked_otherwise_it_is_another_question(server, use, other, plain):
    use()
    for more in ({}, other, other):
        if plain:
            await asyncio.to_thread(litellm.completion, **options(server, **more))
        else:
            await asked(server, **more)
    assert server.calls == 2


@pytest.mark.parametrize("plain", [True, False])
async def test_what_says_nothing_of_the_answer_does_not_count(server, use, plain):
    use()
    for more in ({}, {"timeout": 7}, {"num_retries": 1}, {"litellm_trace_id": "t"}, {"cache": {"ttl": 60}}):
        if plain:
            await asyncio.to_thread(litellm.completion, **options(server, **more))
        else:
            await asked(server, **more)
    assert server.calls == 1


async def test_two_callers_who_choose_one_key_share_nothing(server, use):
    use()
    for key in ("a", "b", "a"):
        await asked(server, api_key=key, cache_key="mine")
        litellm.completion(**options(server, api_key=key, cache_key="mine"))
    assert server.calls == 2


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "OPENAI_ORGANIZATION", "OPENAI_BASE_URL", "MY_GATEWAY_TOKEN"])
async def test_what_the_environment_says_counts(server, use, monkeypatch, name):
    use()
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    for value, calls in (("a", 1), ("b", 2), ("a", 2)):
        monkeypatch.setenv(name, value)
        await asked(server, api_key=None)
        assert server.calls == calls


@pytest.mark.parametrize("name", ["api_key", "organization", "openai_key", "headers", "api_version", "drop_params"])
async def test_litellms_own_settings_count(server, use, monkeypatch, name):
    cache = use()
    first = cache.get_cache_key(**options(server))
    monkeypatch.setattr(litellm, name, {"x-tenant": "a"} if name == "headers" else "other")
    other = cache.get_cache_key(**options(server))
    assert other != first
    assert cache.get_cache_key(**options(server)) == other


async def test_a_client_that_is_passed_in_counts(server, use):
    import openai

    use()
    for key, calls in (("a", 1), ("b", 2), ("a", 2)):
        async with openai.AsyncOpenAI(api_key=key, base_url=f"{server.url}/v1") as client:
            await asked(server, client=client)
        assert server.calls == calls


async def test_an_object_with_no_stable_form_bypasses(server, use, caplog):
    use()
    for _ in range(2):
        await asked(server, client=None, metadata={"rows": iter([])})
    assert server.calls == 2
    assert len([line for line in caplog.messages if "bypasses the cache" in line]) == 1


@pytest.mark.parametrize("model", ["bedrock/anthropic.claude-3", "vertex_ai/gemini-2.0-flash"])
def test_a_credential_that_is_not_seen_bypasses_unless_scope_names_the_caller(use, monkeypatch, caplog, model):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    call = {"model": model, "messages": user(ASKED)}
    cache = use()
    assert cache.cache._request(cache.get_cache_key(**call), call) is None
    assert "scope=" in caplog.text
    named = {**call, "aws_access_key_id": "a", "vertex_credentials": "a"}
    assert cache.cache._request(cache.get_cache_key(**named), named) is not None
    cache = use(scope={"account": 1})
    assert cache.cache._request(cache.get_cache_key(**call), call) is not None


def test_no_credential_is_in_a_key(use):
    cache = use()
    seen = {cache.get_cache_key(model="openai/m", messages=user(ASKED), api_key=key) for key in ("s3cret", "other")}
    assert len(seen) == 2
    assert "s3cret" not in repr(seen)
    shared = use(share_across_keys=True)
    one, other = (shared.get_cache_key(model="openai/m", messages=user(ASKED), api_key=key) for key in ("a", "b"))
    assert one == other


async def test_answers_that_are_not_whole_are_not_stored(server, use):
    use()
    server.finish = "length"
    await asked(server)
    await asked(server)
    assert server.calls == 2


async def test_a_stream_is_stored_and_answers_a_stream(server, use):
    use()

    async def told(text):
        parts = [part async for part in await litellm.acompletion(**options(server, text, stream=True))]
        await asyncio.sleep(0.2)
        return "".join(part.choices[0].delta.content or "" for part in parts)

    first = await told(ASKED)
    assert first == "Paris is the capital (1)."
    assert await told(AGAIN) == first
    assert server.calls == 1


async def test_embeddings_match_only_exactly(server, use):
    use()
    more = {"model": "openai/e", "api_base": f"{server.url}/v1", "api_key": "k", "caching": True}
    for texts, calls in (([ASKED], 1), ([ASKED], 1), ([AGAIN], 2), ([ASKED, AGAIN], 2), ([ASKED, "other"], 3)):
        answer = await litellm.aembedding(input=texts, **more)
        await asyncio.sleep(0.2)
        assert len(answer.data) == len(texts)
        assert server.calls == calls


@pytest.mark.parametrize("plain", [True, False])
async def test_a_context_asks_of_it_what_it_asks_of_functions(server, use, plain):
    use()

    async def ask(**context):
        with CacheContext(**context):
            if plain:
                answer = await asyncio.to_thread(litellm.completion, **options(server))
            else:
                answer = await asked(server)
        return answer.choices[0].message.content

    with pytest.raises(CacheNotFoundError, match="only-if-cached"):
        await ask(cache_control="only-if-cached")
    assert server.calls == 0
    await ask(cache_control="no-store")
    first = await ask()
    assert server.calls == 2
    assert await ask(cache_control="only-if-cached, max-age=60") == first
    fresh = await ask(cache_control="no-cache")
    assert (server.calls, await ask()) == (3, fresh)
    for _ in range(2):
        inside = await ask(namespace="tenant")
    assert (server.calls, inside) == (4, await ask(namespace="tenant"))
    with CacheContext(enabled=False, cache_control="only-if-cached"):
        await asked(server)
    assert server.calls == 5


@pytest.mark.parametrize("plain", [False, True])
async def test_a_storage_whose_key_is_missing_is_bypassed(server, use, tmp_path, caplog, plain):
    async with EncryptedBackend(SQLiteBackend(tmp_path / "cache.db"), "ab" * 32) as sealed:
        await sealed.set("k", CacheEntry("What is Python?", "A language."))
    use(backend=f"sqlite:///{tmp_path}/cache.db")
    for _ in range(2):
        if plain:
            await asyncio.to_thread(litellm.completion, **options(server))
        else:
            await asked(server)
    assert server.calls == 2
    about = [text for text in caplog.messages if "is encrypted" in text]
    assert len(about) == 1
    assert about[0].startswith("semantic-llm-cache: a call bypasses the cache: ")
    async with SQLiteBackend(tmp_path / "cache.db") as raw:
        assert (await raw.get_stats())["size"] == 1


def test_misuse_is_told_by_name():
    for option in ({"history": "all"}, {"tool_calls": 1}, {"cache": "memory://"}, {"nonsense": 1}):
        with pytest.raises((TypeError, ValueError), match=next(iter(option))):
            LiteLLMCache(**option)


def test_as_a_field_it_counts_by_what_decides_who_shares_its_answers():
    def form(**options):
        return fingerprint_instance(LiteLLMCache(backend="memory://", **options))

    assert form() == form()
    assert len({form(), form(scope={"tenant": "a"}), form(scope={"tenant": "b"}), form(share_across_keys=True)}) == 4


async def test_through_the_proxy(server):
    with proxy(f"{server.url}/v1") as running:
        given = {"model": "openai/m", "messages": user(ASKED), "api_base": f"{running.url}/v1", "api_key": "k"}
        first = litellm.completion(**given)
        assert fields(litellm.completion(**given)) == fields(first)
        assert fields(await litellm.acompletion(**given)) == fields(first)
        parts = [part async for part in await litellm.acompletion(**given, stream=True)]
        words = "".join(part.choices[0].delta.content or "" for part in parts)
        assert words == first.choices[0].message.content
    assert server.calls == 1
