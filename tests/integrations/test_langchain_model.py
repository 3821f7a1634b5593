"""`CachedChatModel` around LangChain's own OpenAI model, which calls a provider on the loopback interface."""

import asyncio
import copy
import pickle
import threading
import uuid

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.globals import set_llm_cache
from langchain_core.language_models import FakeListChatModel, GenericFakeChatModel
from langchain_core.load import dumps, loads
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_models import AGAIN, ASKED, NOTE, Bare, Maker, note, said, summed, ways
from langchain_openai import ChatOpenAI

from semantic_llm_cache import CacheContext, SemanticCache, cache, last_lookup
from semantic_llm_cache.exceptions import CacheNotFoundError
from semantic_llm_cache.integrations.langchain import CachedChatModel, LangChainCache

# ------------------------------------------------------------------------------------ one call in flight


async def test_equal_calls_at_once_make_one_call(server, model):
    cached = model()
    answers = await asyncio.gather(*(cached.ainvoke(ASKED) for _ in range(5)))
    assert server.calls == 1
    assert len({answer.content for answer in answers}) == 1
    assert sorted(note(answer)["outcome"] for answer in answers) == ["coalesced"] * 4 + ["miss"]
    assert len({answer.id for answer in answers}) == 5


@pytest.mark.parametrize("texts", [[ASKED] * 5, [ASKED, AGAIN]], ids=["equal", "of one meaning"])
async def test_a_batch_makes_one_call(server, model, texts):
    cached = model()
    assert len({answer.content for answer in await cached.abatch(texts)}) == 1
    assert len({answer.content for answer in cached.batch(texts)}) == 1
    assert server.calls == 1


async def test_streams_at_once_make_one_call(server, model):
    cached = model()

    async def read():
        return [chunk async for chunk in cached.astream(ASKED)]

    answers = await asyncio.gather(*(read() for _ in range(5)))
    assert server.calls == 1
    assert {summed(chunks).content for chunks in answers} == {"Paris is the capital (1)."}
    assert {len(chunks) for chunks in answers} == {len(answers[0])}


async def test_a_reader_who_leaves_does_not_end_the_stream_of_the_others(server, model):
    cached = model()

    async def leave():
        async for _ in cached.astream(ASKED):
            return

    async def read():
        return [chunk async for chunk in cached.astream(ASKED)]

    _, chunks = await asyncio.gather(leave(), read())
    assert summed(chunks).content == "Paris is the capital (1)."
    assert server.calls == 1


async def test_a_stream_and_a_whole_call_at_once_make_one_call(server, model):
    cached, found = model(), []
    server.gate = threading.Event()
    plain = threading.Thread(target=lambda: found.append(summed(list(cached.stream(ASKED))).content))
    plain.start()
    whole = asyncio.create_task(cached.ainvoke(ASKED))
    await asyncio.to_thread(server.arrived.wait, 10)
    await asyncio.sleep(0.1)
    server.gate.set()
    assert (await whole).content == "Paris is the capital (1)."
    await asyncio.to_thread(plain.join)
    assert found == ["Paris is the capital (1)."]
    assert server.calls == 1


# ------------------------------------------------------------------------------------ hits


async def test_a_paraphrase_makes_no_call_and_says_what_the_cache_did(server, model):
    cached = model()
    first, second = await cached.ainvoke(ASKED), await cached.ainvoke(AGAIN)
    assert server.calls == 1
    assert type(second) is AIMessage
    assert said(second) == said(first)
    assert note(first)["outcome"] == "miss"
    assert note(second)["outcome"] == "near"
    assert 0.9 < note(second)["similarity"] < 1
    assert note(second)["entry_key"] == last_lookup().entry_key
    assert first.usage_metadata == second.usage_metadata != None  # noqa: E711
    assert second.id != first.id


@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize(
    "fields",
    [{}, {"use_responses_api": True}, {"use_responses_api": True, "output_version": "v1"}],
    ids=["chat", "responses", "responses v1"],
)
async def test_what_one_way_stored_answers_all_ways(server, model, fields, streams):
    cached = model({"stream_usage": True, **fields})
    first = summed(list(cached.stream(ASKED))) if streams else cached.invoke(ASKED)
    answers = await ways(cached, AGAIN)
    assert server.calls == 1
    assert {answer.text for answer in answers} == {first.text} == {"Paris is the capital (1)."}
    assert [type(answer) for answer in answers] == [AIMessage, AIMessage, AIMessageChunk, AIMessageChunk]
    assert {answer.usage_metadata["total_tokens"] for answer in answers} == {21}
    if not fields:
        assert {answer.response_metadata["finish_reason"] for answer in answers} == {"stop"}


async def test_a_stream_is_replayed_chunk_by_chunk(server, model):
    cached = model()
    streamed = [chunk async for chunk in cached.astream(ASKED)]
    for again in ([chunk async for chunk in cached.astream(AGAIN)], list(cached.stream(AGAIN))):
        assert [said(chunk) for chunk in again] == [said(chunk) for chunk in streamed]
        assert note(summed(again))["outcome"] == "near"
    assert server.calls == 1


def test_the_next_turn_after_a_hit_is_the_same_question(server, model):
    cached = model()
    for _ in range(2):
        first = cached.invoke(ASKED)
        cached.invoke([HumanMessage(ASKED), first, HumanMessage("And where is the button?")])
    assert server.calls == 2


async def test_last_lookup_is_never_that_of_an_earlier_call(model):
    @cache()
    async def ask(prompt: str) -> str:
        return prompt

    cached = model()
    await cached.ainvoke(ASKED)
    await ask("something else")
    await cached.ainvoke(ASKED)
    assert (last_lookup().outcome, last_lookup().prompt) == ("exact", ASKED)
    await ask("something else")
    for bypass in (cached.ainvoke, cached.invoke):
        with CacheContext(enabled=False):
            answer = bypass(ASKED)
            await answer if asyncio.iscoroutine(answer) else None
        assert last_lookup() is None
        await ask("something else")


# ------------------------------------------------------------------------------------ scope


@pytest.mark.parametrize(
    "messages",
    [
        [SystemMessage("Be brief."), HumanMessage(ASKED)],
        [HumanMessage("Hello"), AIMessage("Hi"), HumanMessage(ASKED)],
        [HumanMessage([{"type": "text", "text": ASKED}, {"type": "image_url", "image_url": {"url": "data:,x"}}])],
        [HumanMessage(ASKED, name="bob")],
        [
            HumanMessage(ASKED),
            AIMessage("", tool_calls=[{"name": "t", "args": {}, "id": "1"}]),
            ToolMessage("r", tool_call_id="1"),
        ],
    ],
    ids=["system", "history", "image", "name", "tool result"],
)
def test_other_messages_are_another_question(server, model, messages):
    cached = model()
    cached.invoke(ASKED)
    for _ in range(2):
        cached.invoke(messages)
    assert server.calls == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "n"},
        {"temperature": 0.5},
        {"api_key": "other"},
        {"organization": "o"},
        {"default_headers": {"x-tenant": "a"}},
        {"extra_body": {"tenant": "a"}},
        {"reasoning_effort": "low"},
        {"metadata": {"tenant": "a"}},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_another_model_is_another_question(server, model, fields):
    for each in ({}, fields, fields):
        model(each).invoke(ASKED)
    assert server.calls == 2


@pytest.mark.parametrize(
    "fields", [{"timeout": 7}, {"max_retries": 1}, {"verbose": True}, {"streaming": True}, {"name": "x"}], ids=str
)
def test_what_changes_no_answer_does_not_count(server, model, fields):
    for each in ({}, fields):
        model(each).invoke(ASKED)
    assert server.calls == 1


def test_keywords_count(server, model):
    cached = model()
    tool = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}
    for _ in range(2):
        cached.invoke(ASKED)
        cached.invoke(ASKED, stop=["."])
        cached.bind(stop=["."]).invoke(ASKED)
        cached.bind(temperature=0.1).invoke(ASKED)
        cached.bind_tools([tool]).invoke(ASKED)
        cached.bind_tools([tool], tool_choice="none").invoke(ASKED)
    assert server.calls == 5


def test_a_changed_field_is_another_question(server, model):
    cached = model()
    cached.invoke(ASKED)
    cached.wrapped.temperature = 0.7
    cached.invoke(ASKED)
    assert server.calls == 2


def key_of(*messages):
    cached = CachedChatModel(FakeListChatModel(responses=["a"]), backend="memory://")
    return cached._plan([HumanMessage("Hello"), *messages, HumanMessage(ASKED)], None, {}).request.key


def test_what_of_a_message_counts():
    plain = key_of(AIMessage("Hi"))
    assert key_of(AIMessage("Hi", id="run-1", usage_metadata=USAGE)) == plain
    assert key_of(AIMessage("Hi", response_metadata={NOTE: {"outcome": "exact"}})) == plain
    assert key_of(AIMessage("Hi", response_metadata={"id": "resp_1"})) != plain
    assert key_of(AIMessage("Hi", additional_kwargs={"reasoning_content": "x"})) != plain
    assert key_of(SystemMessage("Hi")) != plain
    kept = key_of(ToolMessage("r", tool_call_id="1", artifact=object()))
    assert kept == key_of(ToolMessage("r", tool_call_id="1"))
    assert kept != key_of(ToolMessage("r", tool_call_id="1", status="error"))


USAGE = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}


def test_scope_and_namespace_keep_callers_apart(server, model):
    tenant = ["a"]
    cached = model(scope=lambda: {"tenant": tenant[0]})
    cached.invoke(ASKED)
    tenant[0] = "b"
    cached.invoke(ASKED)
    with CacheContext(namespace="c"):
        cached.invoke(ASKED)
    assert server.calls == 3


def talker(*texts):
    return GenericFakeChatModel(messages=iter([AIMessage(text) for text in texts]))


def test_a_model_that_cannot_be_read_bypasses_unless_scope_names_the_caller(caplog):
    cached = CachedChatModel(talker("a", "b"), backend="memory://")
    assert [cached.invoke(ASKED).content for _ in range(2)] == ["a", "b"]
    assert "scope=" in caplog.text
    cached = CachedChatModel(talker("a", "b"), scope={"tenant": 1}, backend="memory://")
    assert [cached.invoke(ASKED).content for _ in range(2)] == ["a", "a"]


# ------------------------------------------------------------------------------------ LangChain's own manners


class Watcher(BaseCallbackHandler):
    def __init__(self):
        self.seen = []

    def on_chat_model_start(self, serialized, messages, *, run_id, tags=None, metadata=None, **kwargs):
        self.seen.append(("start", serialized["id"][-1], run_id, sorted(tags), metadata))

    def on_llm_new_token(self, token, **kwargs):
        self.seen.append(("token", token))

    def on_llm_end(self, response, **kwargs):
        self.seen.append(("end", response.generations[0][0].text))


@pytest.mark.parametrize("streams", [True, False])
async def test_callbacks_are_called_on_hits_as_on_misses(server, model, streams):
    watcher = Watcher()
    cached = model({"tags": ["own"], "metadata": {"a": 1}, "callbacks": [watcher]})
    runs = []
    for _ in range(2):
        run = uuid.uuid4()
        config = {"run_id": run, "tags": ["call"], "metadata": {"b": 2}, "run_name": "ask"}
        if streams:
            summed([chunk async for chunk in cached.astream(ASKED, config)])
        else:
            await cached.ainvoke(ASKED, config)
        (start, *rest), watcher.seen = watcher.seen, []
        assert start[:4] == ("start", "ChatOpenAI", run, ["call", "own"])
        assert {"a": 1, "b": 2, "ls_provider": "openai", "ls_model_name": "m"}.items() <= start[4].items()
        runs.append(rest)
    assert runs[0] == runs[1]
    assert [kind for kind, _ in runs[1]][-1] == "end"
    assert ("token", "Paris") in runs[1] or not streams
    assert server.calls == 1


async def test_events_are_those_of_a_call(server, model):
    async def events():
        found = [event async for event in cached.astream_events(ASKED, version="v2")]
        return [(event["event"], event["name"]) for event in found]

    cached = model()
    first = await events()
    assert await events() == first
    assert {kind for kind, _ in first} == {"on_chat_model_start", "on_chat_model_stream", "on_chat_model_end"}
    assert {name for _, name in first} == {"ChatOpenAI"}
    assert server.calls == 1


async def test_config_and_chains(server, model):
    watcher = Watcher()
    chain = model().with_config(callbacks=[watcher], tags=["t"]) | (lambda message: message.content)
    assert chain.invoke(ASKED) == await chain.ainvoke(AGAIN) == "Paris is the capital (1)."
    assert ["t" in seen[3] for seen in watcher.seen if seen[0] == "start"] == [True, True]


@pytest.mark.parametrize("way", ["disable_streaming", "stream", "streaming"])
def test_a_model_streams_or_not_as_the_wrapped_one(server, model, way):
    streaming = way == "streaming"
    cached = model({"disable_streaming": True} if way == "disable_streaming" else {"streaming": streaming})
    watcher = Watcher()
    cached.invoke(ASKED, {"callbacks": [watcher]})
    assert server.seen[0][2].get("stream", False) is streaming
    assert (("token", "Paris") in watcher.seen) is streaming
    if not streaming:
        assert len(list(cached.stream(AGAIN))) == 1
    assert server.calls == 1


def test_a_model_without_streams_is_streamed_whole():
    cached = CachedChatModel(Maker(responses=["x"]), scope={"a": 1}, backend="memory://")
    with pytest.raises(NotImplementedError):
        list(cached.stream(ASKED))
    with pytest.raises(NotImplementedError):
        list(cached.wrapped.stream(ASKED))


class Counter(BaseRateLimiter):
    def __init__(self):
        self.count = 0

    def acquire(self, *, blocking=True):
        self.count += 1
        return True

    async def aacquire(self, *, blocking=True):
        return self.acquire()


async def test_a_rate_limiter_is_asked_for_calls_only(server, model):
    limiter = Counter()
    cached = model({"rate_limiter": limiter})
    for _ in range(2):
        await ways(cached, ASKED)
        await ways(cached, "What is the capital of France?")
    assert limiter.count == server.calls == 2


def test_the_cache_of_the_process_is_not_asked(server, model):
    global_cache = LangChainCache(backend="memory://")
    set_llm_cache(global_cache)
    try:
        cached = model()
        cached.invoke(ASKED)
        cached.clear()
        cached.invoke(ASKED)
    finally:
        set_llm_cache(None)
    assert server.calls == 2


async def test_clear_removes_what_chat_models_stored(server, model):
    cached = model()
    await cached.ainvoke(ASKED)
    assert await cached.aclear() == 1
    assert cached.clear() == 0


def test_it_has_the_attributes_of_the_wrapped_model(model, openai):
    cached = model({"temperature": 0.5, "custom_get_token_ids": lambda text: list(range(len(text.split())))})
    assert (cached.model_name, cached.temperature) == ("m", 0.5)
    assert cached._llm_type == openai()._llm_type
    assert cached.get_num_tokens("a b") == 2
    with pytest.raises(AttributeError, match="nonsense"):
        cached.nonsense
    assert "SecretStr('**********')" in repr(cached)


def test_copies_and_pickles_share_the_cache_and_the_key(tmp_path):
    first = CachedChatModel(Bare(), backend=f"sqlite:///{tmp_path}/c.db")
    assert note(first.invoke(ASKED))["outcome"] == "miss"
    for other in (copy.copy(first), copy.deepcopy(first), pickle.loads(pickle.dumps(first))):
        assert type(other) is CachedChatModel
        assert note(other.invoke(ASKED))["outcome"] == "exact"


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
def test_langchain_writes_and_loads_it(server, model, monkeypatch, tmp_path):
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    first = model(ttl="1h", backend=f"sqlite:///{tmp_path}/c.db")
    written = dumps(first)
    loaded = loads(written, allowed_objects=[CachedChatModel, ChatOpenAI], valid_namespaces=["semantic_llm_cache"])
    assert '"k"' not in written
    assert (loaded.engine.similarity, loaded.engine.ttl) == (0.9, 3600)
    loaded = loads(
        written,
        allowed_objects=[CachedChatModel, ChatOpenAI],
        valid_namespaces=["semantic_llm_cache"],
        secrets_from_env=True,
    )
    first.invoke(ASKED)
    assert note(loaded.invoke(AGAIN))["outcome"] == "near"
    assert '"not_implemented"' in dumps(model(cache=SemanticCache("memory://")))


def test_misuse_is_told_by_name(openai):
    with pytest.raises(TypeError, match="wrapped="):
        CachedChatModel(openai().bind(stop=["x"]))
    for option in ({"history": "all"}, {"tool_calls": 1}, {"cache": "memory://"}, {"nonsense": 1}):
        with pytest.raises((TypeError, ValueError), match=next(iter(option))):
            CachedChatModel(openai(), **option)


def test_an_engine_of_ones_own(server, model):
    engine = SemanticCache("memory://", similarity=0.9)
    cached = model(cache=engine)
    cached.invoke(ASKED)
    assert cached.engine.backend is engine.backend
    assert model(cache=engine).invoke(AGAIN).content == "Paris is the capital (1)."
    assert server.calls == 1


@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize("plain", [True, False])
async def test_a_context_asks_of_it_what_it_asks_of_functions(server, model, streams, plain):
    cached = model()

    async def ask(**context):
        with CacheContext(**context):
            if streams:
                chunks = list(cached.stream(ASKED)) if plain else [chunk async for chunk in cached.astream(ASKED)]
                return summed(chunks).content
            return (cached.invoke(ASKED) if plain else await cached.ainvoke(ASKED)).content

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


async def test_an_agent_of_langgraph(server, model):
    from langgraph.graph import START, MessagesState, StateGraph
    from langgraph.prebuilt import ToolNode, tools_condition

    def look_up(city: str) -> str:
        """Look a city up."""
        server.tool = None
        return f"{city} is the capital."

    bound = model().bind_tools([look_up])

    async def ask(state):
        return {"messages": [await bound.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("ask", ask)
    graph.add_node("tools", ToolNode([look_up]))
    graph.add_edge(START, "ask")
    graph.add_conditional_edges("ask", tools_condition)
    graph.add_edge("tools", "ask")
    agent = graph.compile()
    server.tool = ("look_up", {"city": "Paris"})
    state = await agent.ainvoke({"messages": [HumanMessage(ASKED)]})
    assert [message.type for message in state["messages"]] == ["human", "ai", "tool", "ai"]
    assert server.calls == 2
    # One thread that asks the same twice: a hit has an id of its own, else it would replace the first answer.
    state = await agent.ainvoke({"messages": [HumanMessage("What is the capital of France?")]})
    again = await bound.ainvoke("What is the capital of France?")
    assert again.id not in {message.id for message in state["messages"]}
    streamed = [part async for part, _ in agent.astream({"messages": [HumanMessage(ASKED)]}, stream_mode="messages")]
    assert "".join(part.content for part in streamed if part.type == "AIMessageChunk") == "Paris is the capital (4)."


def test_the_template_of_the_human_turn_says_what_its_slots_are():
    form = "Use only this page: {page} Now answer in one word: {question}"
    prompt = ChatPromptTemplate.from_messages([("system", "Be kind."), ("human", form)])
    template = prompt.messages[-1].prompt.template
    chain = prompt | CachedChatModel(Bare(), similarity=0.85, embedder="onnx", prompt_template=template)
    page = "We sell food and toys for animals on weekdays from nine to five. " * 8
    outcomes = [
        note(chain.invoke({"page": page, "question": f"What is the {asked} food?"}))["outcome"]
        for asked in ("price of cat", "cost of the cat", "price of owl")
    ]
    assert outcomes == ["miss", "near", "miss"]


@pytest.mark.parametrize("door", ["model", "global"])
def test_a_scope_that_raises_bypasses_the_cache(door, caplog):
    def raises():
        raise LookupError("ann's secret")

    bare = FakeListChatModel(responses=["one", "two"])
    model = CachedChatModel(bare, scope=raises) if door == "model" else bare
    if door == "global":
        set_llm_cache(LangChainCache(scope=raises))
    try:
        assert [model.invoke(ASKED).content for _ in range(2)] == ["one", "two"]
    finally:
        set_llm_cache(None)
    assert [line.partition(": ")[2] for line in caplog.messages] == [
        "a call bypasses the cache: scope= raised LookupError"
    ]
    assert "secret" not in caplog.text
