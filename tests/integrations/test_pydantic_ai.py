"""pydantic-ai agents through the cache, with its OpenAI model against a provider on the loopback interface."""

import re

import httpx2
import pytest
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, ToolReturnPart, UserPromptPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from semantic_llm_cache import CacheContext, SemanticCache
from semantic_llm_cache.backends import MemoryBackend
from semantic_llm_cache.exceptions import CacheNotFoundError
from semantic_llm_cache.integrations.pydantic_ai import CachedModel

ASKED = "How do I reset my password?"
AGAIN = "How can I reset my password?"


@pytest.fixture
async def model(server):
    async with httpx2.AsyncClient() as http:

        def make(name="m", key="k", **options):
            options.setdefault("similarity", 0.9)
            provider = OpenAIProvider(base_url=f"{server.url}/v1", api_key=key, http_client=http)
            return CachedModel(OpenAIChatModel(name, provider=provider), **options)

        yield make


async def test_a_paraphrase_makes_no_request_and_returns_an_equal_answer(server, model):
    agent = Agent(model())
    first = await agent.run(ASKED)
    second = await agent.run(AGAIN)
    assert server.calls == 1
    assert second.output == first.output
    one, other = first.response, second.response
    assert type(one) is type(other)
    assert (one.parts, one.usage, one.provider_response_id) == (other.parts, other.usage, other.provider_response_id)
    assert (one.model_name, one.finish_reason, one.timestamp) == (
        other.model_name,
        other.finish_reason,
        other.timestamp,
    )


async def test_a_stream_is_stored_and_answers_streams_and_runs(server, model):
    agent = Agent(model())

    async def streamed(text):
        async with agent.run_stream(text) as result:
            return [piece async for piece in result.stream_text()][-1]

    first = await streamed(ASKED)
    assert first == "Paris is the capital (1)."
    with CacheContext() as context:
        assert await streamed(AGAIN) == first
        assert (await agent.run(AGAIN)).output == first
    assert server.calls == 1
    assert [lookup.outcome for lookup in context.lookups] == ["near", "near"]


async def test_a_stream_that_breaks_off_is_not_stored(server, model):
    agent = Agent(model())
    server.cut = 4
    for calls in (1, 2):
        with pytest.raises(Exception, match=r"peer closed|Connection error|incomplete"):
            async with agent.run_stream(ASKED) as result:
                await result.get_output()
        assert server.calls == calls


class City(BaseModel):
    name: str


async def test_structured_output_is_an_answer(server, model):
    server.tool = ("final_result", {"name": "Paris"})
    agent = Agent(model(), output_type=City)
    assert (await agent.run(ASKED)).output == City(name="Paris")
    assert (await agent.run(AGAIN)).output == City(name="Paris")
    assert server.calls == 1


async def test_other_tool_calls_are_not_stored(server, model):
    server.tool = ("look_up", {})
    agent = Agent(model())

    @agent.tool_plain
    def look_up() -> str:
        server.tool = None
        return "nothing"

    await agent.run(ASKED)
    assert server.calls == 2
    server.tool = ("look_up", {})
    await agent.run(ASKED)
    assert server.calls == 4  # a tool call by another id is another history


async def test_asked_otherwise_it_is_another_question(server, model):
    cache = SemanticCache("memory://", similarity=0.9)

    async def ask(instructions=None, settings=None, history=None, **options):
        agent = Agent(model(cache=cache, **options), instructions=instructions)
        return await agent.run(ASKED, model_settings=settings, message_history=history)

    first = await ask()
    for calls, options in enumerate(
        (
            {},
            {"instructions": "Be brief."},
            {"settings": {"temperature": 0.5}},
            {"name": "another"},
            {"key": "other"},
            {"history": first.all_messages()},
            {"scope": {"tenant": "b"}},
        ),
        start=1,
    ):
        await ask(**options)
        await ask(**options)
        assert server.calls == calls
    await ask(settings={"timeout": 7})
    assert server.calls == calls


async def test_another_list_of_tools_is_another_question(server, model):
    cached = model()

    def look_up(city: str) -> str:
        return city

    for tools in ([], [look_up], [look_up]):
        await Agent(cached, tools=tools).run(ASKED)
    assert server.calls == 2


async def test_answers_that_are_not_whole_are_not_stored(server, model):
    server.finish = "length"
    agent = Agent(model())
    await agent.run(ASKED)
    await agent.run(ASKED)
    assert server.calls == 2


def test_misuse_is_told_by_name(server, model):
    for option in ({"history": "all"}, {"tool_calls": 1}, {"cache": "memory://"}, {"nonsense": 1}):
        with pytest.raises((TypeError, ValueError), match=next(iter(option))):
            model(**option)


@pytest.mark.parametrize("streams", [True, False])
async def test_a_context_asks_of_it_what_it_asks_of_functions(server, model, streams):
    agent = Agent(model())

    async def ask(**context):
        with CacheContext(**context):
            if not streams:
                return (await agent.run(ASKED)).output
            async with agent.run_stream(ASKED) as result:
                return [piece async for piece in result.stream_text()][-1]

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


def callers(server, http):
    """Return pairs of providers that differ in one place of their client."""
    from openai import AsyncOpenAI

    def provider(key="k", **more):
        client = AsyncOpenAI(api_key=key, base_url=f"{server.url}/v1", http_client=http, **more)
        return OpenAIProvider(openai_client=client)

    async def first():
        return "a"

    async def second():
        return "b"

    return {
        "key": (provider("a"), provider("b")),
        "organization": (provider(organization="a"), provider(organization="b")),
        "project": (provider(project="a"), provider(project="b")),
        "headers": (provider(default_headers={"x-tenant": "a"}), provider(default_headers={"x-tenant": "b"})),
        "query": (provider(default_query={"tenant": "a"}), provider(default_query={"tenant": "b"})),
        "callable key": (provider(first), provider(second)),
    }


@pytest.mark.parametrize("place", ["key", "organization", "project", "headers", "query", "callable key"])
async def test_callers_whose_clients_differ_share_nothing(server, place):
    cache = SemanticCache("memory://", similarity=0.9)
    async with httpx2.AsyncClient() as http:
        one, other = (CachedModel(OpenAIChatModel("m", provider=p), cache) for p in callers(server, http)[place])
        for model in (one, other):
            await Agent(model).run(ASKED)
        assert server.calls == 2


@pytest.mark.parametrize("place", ["organization", "project", "headers", "query"])
async def test_shared_keys_share_nothing_else(server, place):
    cache = SemanticCache("memory://", similarity=0.9)
    async with httpx2.AsyncClient() as http:
        pairs = callers(server, http)
        for calls, name in ((1, "key"), (3, place)):
            for provider in pairs[name]:
                model = CachedModel(OpenAIChatModel("m", provider=provider), cache, share_across_keys=True)
                await Agent(model).run(ASKED)
            assert server.calls == calls


class Unknown(OpenAIChatModel):
    """A model with a state that nobody can read."""

    def __init__(self, *given, **options):
        super().__init__(*given, **options)
        self.rows = iter([])


async def test_a_model_that_is_not_known_bypasses_unless_scope_names_the_caller(server, caplog):
    async with httpx2.AsyncClient() as http:
        provider = OpenAIProvider(base_url=f"{server.url}/v1", api_key="k", http_client=http)
        for _ in range(2):
            await Agent(CachedModel(Unknown("m", provider=provider), SemanticCache("memory://"))).run(ASKED)
        assert server.calls == 2
        assert "scope=" in caplog.text
        model = CachedModel(Unknown("m", provider=provider), scope={"tenant": 1}, backend="memory://")
        for _ in range(2):
            await Agent(model).run(ASKED)
        assert server.calls == 3


async def test_models_inside_of_others_count(server):
    from pydantic_ai.models.fallback import FallbackModel
    from pydantic_ai.models.instrumented import InstrumentedModel

    def held(model):
        messages = [ModelRequest(parts=[UserPromptPart(ASKED)])]
        return CachedModel(model, backend="memory://")._plan(messages, None, ModelRequestParameters())

    async with httpx2.AsyncClient() as http:

        def inner(key):
            return OpenAIChatModel("m", provider=OpenAIProvider(base_url="http://h", api_key=key, http_client=http))

        made = [inner("a"), inner("b"), InstrumentedModel(inner("a")), InstrumentedModel(inner("b"))]
        made += [FallbackModel(inner("a"), inner("b")), FallbackModel(inner("b"), inner("a"))]
        planned = [held(model) for model in made]
        keys = [plan[0].key for plan in planned if plan is not None]
        assert len(set(keys)) == len(keys)
        assert len(keys) >= 4


async def test_what_a_tool_returned_counts_whatever_its_fields_are_called(server, model):
    keys = set()
    for more in ({}, {"timestamp": 1}, {"timestamp": 2}, {"usage": 1}, {"run_id": 1}):
        part = ToolReturnPart(tool_name="t", content={"a": 1, **more}, tool_call_id="1")
        messages = [ModelRequest(parts=[UserPromptPart(ASKED)]), ModelRequest(parts=[part])]
        keys.add(model()._plan(messages, None, ModelRequestParameters())[0].key)
    assert len(keys) == 5


def test_an_unknown_option_is_reported_with_the_nearest():
    with pytest.raises(TypeError, match="unknown option 'share_across_key': did you mean 'share_across_keys'"):
        CachedModel("test", share_across_key=True)


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
async def test_an_answer_that_is_not_stored_says_why_in_one_line(server, model, streams, caplog):
    caplog.set_level("INFO", "semantic_llm_cache")

    def wrong(response):
        raise ZeroDivisionError

    async def ask(**options):
        agent = Agent(model(backend="memory://", **options))
        for text in ("one?", "another?"):
            if streams:
                async with agent.run_stream(text) as result:
                    assert [piece async for piece in result.stream_text()]
            else:
                assert (await agent.run(text)).output

    server.finish = "length"
    await ask(similarity=1.0)
    server.finish = None
    await ask(similarity=1.0, cache_if=wrong)
    lines = [line.partition("(")[2] for line in caplog.messages if "was not stored" in line]
    assert len(lines) == 2
    assert lines[0].startswith("truncated: finish reason 'length'")
    assert lines[1].startswith("cache-if: it raised ZeroDivisionError")


class Judging:
    """Answers any prompt; as a judge it says that two prompts ask the same."""

    def __init__(self):
        self.judged = []

    def __cache_scope__(self):
        return "judging"  # not what it was asked so far

    async def __call__(self, messages, info):
        code = re.search(r"SAME-[0-9a-f]+", messages[-1].parts[-1].content)
        self.judged.append(code is not None)
        return ModelResponse(parts=[TextPart(code[0] if code else "an answer")], finish_reason="stop")


async def test_the_wrapped_model_judges_where_the_word_says_so():
    answer = Judging()
    options = {"similarity": 0.5, "guards": None, "verify": "model", "scope": {"tenant": 1}}
    model = FunctionModel(answer, model_name="judging")
    agent = Agent(CachedModel(model, backend=MemoryBackend(), **options))
    for prompt in (ASKED, AGAIN):
        assert (await agent.run(prompt)).output == "an answer"
    assert answer.judged == [False, True]
