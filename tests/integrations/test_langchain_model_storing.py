"""Which answers a `CachedChatModel` stores, and how: whole ones, streams, structured ones, types it does not know."""

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_models import AGAIN, ASKED, ASKED_OF_BARE, Bare, Maker, Own, note, summed
from pydantic import BaseModel

from semantic_llm_cache import last_lookup
from semantic_llm_cache.calls.refusals import NotStored
from semantic_llm_cache.integrations.langchain import CachedChatModel
from semantic_llm_cache.integrations.langchain.records import Originals, record_of, result_of
from semantic_llm_cache.integrations.langchain.stored import plain, rebuilt
from semantic_llm_cache.values.encoding import dumps as encoded
from semantic_llm_cache.values.encoding import loads as decoded


@pytest.mark.parametrize("finish", ["length", "content_filter"])
@pytest.mark.parametrize("streams", [True, False])
def test_answers_that_are_not_whole_are_not_stored(server, model, finish, streams):
    server.finish = finish
    cached = model()
    for _ in range(2):
        list(cached.stream(ASKED)) if streams else cached.invoke(ASKED)
    assert server.calls == 2


async def test_a_stream_that_breaks_off_is_not_stored(server, model):
    server.cut = 4
    cached = model()
    for calls in (1, 2):
        with pytest.raises(Exception, match=r"peer closed|Connection error|incomplete"):
            async for _ in cached.astream(ASKED):
                pass
        assert server.calls == calls


@pytest.mark.parametrize(
    ("ends", "calls"),
    [({}, 2), ({"chunk_position": "last"}, 1), ({"response_metadata": {"stop_reason": "end_turn"}}, 1)],
    ids=["nothing", "position", "reason"],
)
async def test_a_stream_is_stored_only_if_it_says_that_it_is_complete(caplog, ends, calls):
    ASKED_OF_BARE.clear()
    cached = CachedChatModel(Bare(ends=ends), backend="memory://")
    for _ in range(2):
        assert summed([chunk async for chunk in cached.astream(ASKED)]).content == "in pieces"
    assert len(ASKED_OF_BARE) == calls
    assert ("finish_reason" in caplog.text) is (calls == 2)


def test_tool_calls_are_stored_only_when_told_to(server, model):
    server.tool = ("look_up", {"city": "Paris"})
    tools = [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}]
    for _ in range(2):
        assert model().bind_tools(tools).invoke(ASKED).tool_calls
        assert summed(list(model().bind_tools(tools).stream(ASKED))).tool_calls
    assert server.calls == 4
    bound = model(tool_calls="cache").bind_tools(tools)
    first = bound.invoke(ASKED)
    assert bound.invoke(ASKED).tool_calls == first.tool_calls == summed(list(bound.stream(AGAIN))).tool_calls
    assert server.calls == 5


class City(BaseModel):
    """A city."""

    name: str


@pytest.mark.parametrize("method", ["function_calling", "json_schema"])
async def test_structured_output_is_an_answer(server, model, method):
    server.tool = ("City", {"name": "Paris"}) if method == "function_calling" else None
    server.answer = '{{"name": "Paris"}}'
    structured = model().with_structured_output(City, method=method)
    for text in (ASKED, AGAIN):
        assert structured.invoke(text) == await structured.ainvoke(text) == City(name="Paris")
    assert server.calls == 1
    raw = model().with_structured_output(City, method=method, include_raw=True).invoke(AGAIN)
    assert raw["parsed"] == City(name="Paris")
    assert note(raw["raw"])["outcome"] == "near"
    assert server.calls == 1


def test_another_schema_is_another_question_and_another_tool_no_answer(server, model):
    class Town(BaseModel):
        """A town."""

        name: str

    server.tool = ("City", {"name": "Paris"})
    model().with_structured_output(City, method="function_calling").invoke(ASKED)
    for _ in range(2):
        with_tool = model().with_structured_output(Town, method="function_calling", include_raw=True)
        assert with_tool.invoke(ASKED)["raw"].tool_calls[0]["name"] == "City"
    assert server.calls == 3


def test_a_structured_answer_is_no_tool_call_of_others(server, model):
    server.tool = ("City", {"name": "Paris"})
    structured = model().with_structured_output(City, method="function_calling", include_raw=True)
    bound = structured.steps__["raw"] if hasattr(structured, "steps__") else structured.first.steps__["raw"]
    keywords = {name: value for name, value in bound.kwargs.items() if not name.startswith("ls_")}
    structured.invoke(ASKED)
    assert note(model().bind(**keywords).invoke(ASKED))["outcome"] == "miss"
    assert server.calls == 2


def test_cache_if_price_and_verify_get_messages_and_words(server, model):
    seen = []

    def verify(prompt, other, words):
        seen.append(words)
        return True

    def price(asked, made, message):
        seen.append(type(message))
        return 0.5

    cached = model(verify=verify, price=price, cache_if=lambda message: "capital" in message.content)
    first = cached.invoke(ASKED)
    assert cached.invoke(AGAIN).content == first.content
    assert seen == [AIMessage, "Paris is the capital (1)."]
    assert last_lookup().saved_usd == 0.5
    server.answer = "unfit"
    for _ in range(2):
        cached.invoke("What is the capital of France?")
    assert server.calls == 3


async def test_a_failure_passes_unchanged_and_is_not_stored(server, model):
    cached = model()
    server.fail = [500, 500]
    with pytest.raises(Exception, match="no luck") as bare:
        cached.wrapped.invoke(ASKED)
    with pytest.raises(type(bare.value), match="no luck"):
        await cached.ainvoke(ASKED)
    server.fail = [500]
    retried = cached.with_retry(stop_after_attempt=2, wait_exponential_jitter=False)
    assert (await retried.ainvoke(ASKED)).content == "Paris is the capital (4)."
    server.fail = [500]
    other = cached.with_fallbacks([FakeListChatModel(responses=["instead"])])
    assert other.invoke("What is the capital of France?").content == "instead"


@pytest.mark.parametrize("streams", [True, False])
async def test_a_stale_answer_in_place_of_a_failure(server, model, streams):
    now = [1000.0]
    cached = model(ttl=10, stale_if_error=100, clock=lambda: now[0])

    async def ask():
        if streams:
            return summed([chunk async for chunk in cached.astream(ASKED)])
        return await cached.ainvoke(ASKED)

    first = await ask()
    now[0] += 20
    server.fail = [500]
    second = await ask()
    assert second.content == first.content
    assert (note(second)["outcome"], note(second)["age"]) == ("stale", 20.0)
    assert server.calls == 2


async def test_a_message_of_an_unknown_type_is_returned_and_not_stored():
    ASKED_OF_BARE.clear()
    cached = CachedChatModel(Maker(responses=["x"]), backend="memory://")
    first, second = await cached.agenerate([[HumanMessage(ASKED)], [HumanMessage(ASKED)]]), None
    assert len(ASKED_OF_BARE) == 1
    first, second = (generations[0].message for generations in first.generations)
    assert {type(first), type(second)} == {Own, AIMessage}  # one who joined gets the nearest known type
    assert first.content == second.content == "hello"
    assert type(await cached.ainvoke(ASKED)) is Own
    assert len(ASKED_OF_BARE) == 2


@pytest.mark.parametrize(
    ("message", "may"),
    [
        (AIMessage(""), False),
        (AIMessage(" \n"), False),
        (AIMessage("no", additional_kwargs={"refusal": "no"}), False),
        (AIMessage([{"type": "refusal", "refusal": "no"}]), False),
        (AIMessage([{"type": "non_standard", "value": {"type": "refusal", "refusal": "no"}}]), False),
        (AIMessage([{"type": "thinking", "thinking": "t"}]), False),
        (AIMessage([{"type": "image_url", "image_url": {"url": "data:,x"}}]), True),
        (AIMessage("cut", response_metadata={"stopReason": "max_tokens"}), False),
        (AIMessage("cut", response_metadata={"status": "incomplete"}), False),
        (AIMessage("whole", response_metadata={"finish_reason": "STOP", "status": "completed"}), True),
        (AIMessage("", invalid_tool_calls=[{"name": "t", "args": "{", "id": "1", "error": None}]), False),
    ],
)
def test_which_answers_may_be_stored(message, may):
    record = record_of(ChatResult(generations=[ChatGeneration(message=message)]))
    model = CachedChatModel(Bare(), backend="memory://")
    if may:
        assert model._fit(record)
    else:
        with pytest.raises(NotStored):
            model._fit(record)


MESSAGES = [
    AIMessage("text"),
    AIMessage([{"type": "text", "text": "a", "annotations": []}, {"type": "thinking", "thinking": "t"}]),
    AIMessage(
        "",
        tool_calls=[{"name": "t", "args": {"a": [1, None]}, "id": "1"}],
        invalid_tool_calls=[{"name": "u", "args": "{", "id": "2", "error": "no JSON"}],
        additional_kwargs={"reasoning_content": "why"},
        usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3, "input_token_details": {"audio": 1}},
        response_metadata={"finish_reason": "stop", "logprobs": [{"token": "a", "logprob": -0.5}]},
        name="n",
    ),
    AIMessageChunk("piece", chunk_position="last"),
    AIMessageChunk("", tool_call_chunks=[{"name": "t", "args": '{"a', "id": "1", "index": 0}]),
    AIMessageChunk("", tool_call_chunks=[{"name": None, "args": '": 1}', "id": None, "index": 0}]),
    AIMessageChunk([{"type": "text", "text": "a", "index": 0}], response_metadata={"model_name": "m"}),
]  # fmt: skip


@pytest.mark.parametrize("message", MESSAGES, ids=range(len(MESSAGES)))
def test_a_message_comes_back_from_its_stored_form_as_it_was(message):
    kind = ChatGenerationChunk if isinstance(message, AIMessageChunk) else ChatGeneration
    generation = kind(message=message, generation_info={"a": 1})
    back = rebuilt(decoded(encoded(plain(generation))))
    assert type(back) is kind
    assert type(back.message) is type(message)
    assert back == generation
    if kind is ChatGenerationChunk:
        assert (back + back).message == (generation + generation).message


@pytest.mark.parametrize("damaged", ["text", 7, {"generations": [{"kind": "Path"}]}, {"chunks": [7]}, {"chunks": []}])
async def test_an_entry_that_cannot_be_read_is_replaced(server, model, damaged):
    cached = model()
    for text in ("one", "two"):
        request = cached._plan([HumanMessage(text)], None, {}).request
        await cached.engine.store(request, damaged)
    assert (await cached.ainvoke("one")).content == "Paris is the capital (1)."
    assert cached.invoke("one").content == "Paris is the capital (1)."
    assert summed([chunk async for chunk in cached.astream("two")]).content == "Paris is the capital (2)."
    assert summed(list(cached.stream("two"))).content == "Paris is the capital (2)."
    assert server.calls == 2


def test_several_answers_are_kept_together(server):
    made = ChatResult(generations=[ChatGeneration(message=AIMessage(text)) for text in "ab"], llm_output={"a": 1})
    back = result_of(decoded(encoded(record_of(made))))
    assert [generation.text for generation in back.generations] == ["a", "b"]
    kept = Originals()
    assert kept.take(kept.keep({}, made)) is made
    assert kept.take({}) is None
