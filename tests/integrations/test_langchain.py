"""LangChain's cache: chat models and plain ones of langchain-core, which call a provider on the loopback interface."""

from typing import Any

import httpx
import pytest
from langchain_core.globals import set_llm_cache
from langchain_core.language_models import LLM, BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult, Generation
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from pydantic import SecretStr

from semantic_llm_cache import CacheContext, last_lookup, report_wrong
from semantic_llm_cache.exceptions import CacheNotFoundError
from semantic_llm_cache.integrations.langchain import LangChainCache

ASKED = "How do I reset my password?"
AGAIN = "How can I reset my password?"
CALL = AIMessage("", tool_calls=[{"name": "t", "args": {}, "id": "1"}])


class Chat(BaseChatModel):
    """A chat model that asks the provider as LangChain's own OpenAI model does, as far as the cache can see."""

    url: str
    model: str = "m"
    temperature: float = 0.0

    @property
    def _llm_type(self):
        return "test-chat"

    @property
    def _identifying_params(self):
        return {"model": self.model, "temperature": self.temperature}

    def _body(self, messages):
        turns = [{"role": m.type, "content": m.content} for m in messages]
        return {"model": self.model, "messages": turns, "temperature": self.temperature}

    def _result(self, answer):
        choice, usage = answer["choices"][0], answer["usage"]
        calls = [
            {"name": call["function"]["name"], "args": {}, "id": call["id"]}
            for call in choice["message"].get("tool_calls") or ()
        ]
        message = AIMessage(
            content=choice["message"]["content"] or "",
            tool_calls=calls,
            id=answer["id"],
            response_metadata={"finish_reason": choice["finish_reason"], "model_name": answer["model"]},
            usage_metadata={
                "input_tokens": usage["prompt_tokens"],
                "output_tokens": usage["completion_tokens"],
                "total_tokens": usage["total_tokens"],
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message, generation_info={"seen": True})])

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        return self._result(httpx.post(f"{self.url}/v1/chat/completions", json=self._body(messages)).json())

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        async with httpx.AsyncClient() as http:
            reply = await http.post(f"{self.url}/v1/chat/completions", json=self._body(messages))
        return self._result(reply.json())


class Plain(LLM):
    url: str

    @property
    def _llm_type(self):
        return "test-plain"

    def _call(self, prompt, stop=None, run_manager=None, **kwargs):
        return httpx.post(f"{self.url}/api/generate", json={"model": "m", "prompt": prompt, "stream": False}).json()[
            "response"
        ]


@pytest.fixture
def use():
    def install(**options):
        made = LangChainCache(similarity=0.9, **options)
        set_llm_cache(made)
        return made

    yield install
    set_llm_cache(None)


def differing(message):
    """Return a message without what LangChain changes on hits: the usage gets a cost of nothing."""
    fields = message.model_dump()
    fields["usage_metadata"].pop("total_cost", None)
    return fields


async def test_a_paraphrase_makes_no_request(server, use):
    events = []
    use(on_event=events.append)
    chat = Chat(url=server.url)
    first = await chat.ainvoke(ASKED)
    second = await chat.ainvoke(AGAIN)
    assert server.calls == 1
    assert type(second) is AIMessage
    assert differing(second) == differing(first)
    assert second.usage_metadata["total_cost"] == 0
    assert [event.outcome for event in events] == ["miss", "near"]  # LangChain looks in a task of its own
    assert (await Chat(url=server.url).ainvoke(AGAIN)).content == first.content
    assert server.calls == 1


async def test_in_a_chain_the_last_lookup_is_never_an_earlier_one(server, use):
    use()
    chat, other = Chat(url=server.url), HumanMessage("How do I bake bread?")
    chain = RunnableLambda(lambda text: [HumanMessage(text)]) | chat | (lambda message: message.content)
    for _ in ("miss", "hit"):
        chat.invoke([other])
        assert last_lookup().prompt == other.content
        with CacheContext() as calls:
            await chain.ainvoke(ASKED)
        assert last_lookup() is None
        assert [lookup.prompt for lookup in calls.lookups] == [ASKED], "a context sees the calls of a chain"
        chat.invoke([other])
        chain.invoke(ASKED)
        assert last_lookup() is None or last_lookup().prompt == ASKED
    assert await report_wrong(calls.lookups[-1].id) is True
    await chain.ainvoke(ASKED)
    assert server.calls == 3


def test_plain_code_and_plain_prompts(server, use):
    use()
    chat, plain = Chat(url=server.url), Plain(url=server.url)
    first = chat.invoke([SystemMessage("Be brief."), HumanMessage(ASKED)])
    second = chat.invoke([SystemMessage("Be brief."), HumanMessage(AGAIN)])
    assert differing(second) == differing(first)
    assert last_lookup().prompt == AGAIN
    text = plain.invoke(ASKED)
    assert plain.invoke(AGAIN) == text
    assert server.calls == 2


@pytest.mark.parametrize(
    "messages",
    [
        [SystemMessage("Be brief."), HumanMessage(ASKED)],
        [HumanMessage("Hello"), AIMessage("Hi"), HumanMessage(ASKED)],
        [HumanMessage([{"type": "text", "text": ASKED}, {"type": "image_url", "image_url": {"url": "data:,x"}}])],
        [HumanMessage(ASKED, name="bob")],
        [HumanMessage(ASKED), CALL, ToolMessage("r", tool_call_id="1")],
    ],
    ids=["system", "history", "image", "name", "tool result"],
)  # fmt: skip
def test_asked_otherwise_it_is_another_question(server, use, messages):
    use()
    chat = Chat(url=server.url)
    chat.invoke([HumanMessage(ASKED)])
    chat.invoke(messages)
    chat.invoke(messages)
    assert server.calls == 2


def test_another_model_temperature_or_tenant_is_another_question(server, use):
    tenant = ["a"]
    use(scope=lambda: {"tenant": tenant[0]})
    for chat in (Chat(url=server.url), Chat(url=server.url, model="n"), Chat(url=server.url, temperature=0.5)):
        chat.invoke(ASKED)
    tenant[0] = "b"
    Chat(url=server.url).invoke(ASKED)
    Chat(url=server.url).invoke(ASKED, stop=["."])
    for _ in range(2):
        Chat(url=server.url).bind(tools=[{"type": "function", "function": {"name": "look_up"}}]).invoke(ASKED)
    assert server.calls == 6


@pytest.mark.parametrize("finish", ["length", "content_filter"])
def test_answers_that_are_not_whole_are_not_stored_and_one_line_says_why(server, use, finish, caplog):
    use()
    server.finish = finish
    for _ in range(2):
        Chat(url=server.url).invoke(ASKED)
    assert server.calls == 2
    (line,) = [line for line in caplog.messages if "was not stored" in line]
    assert f"finish reason {finish!r}" in line


def test_tool_calls_are_stored_only_when_told_to(server, use):
    server.tool = ("look_up", {})
    use()
    for _ in range(2):
        Chat(url=server.url).invoke(ASKED)
    assert server.calls == 2
    use(tool_calls="cache")
    first = Chat(url=server.url).invoke(ASKED)
    assert Chat(url=server.url).invoke(ASKED).tool_calls == first.tool_calls != []
    assert server.calls == 3


async def test_only_types_of_the_table_are_made(server, use):
    made = use()

    class Own(Generation):
        pass

    await made.aupdate("p", "l", [Own(text="x")])
    assert await made.alookup("p", "l") is None
    for damaged in ([{"kind": "Path", "info": None, "text": "x"}], [{"kind": "Generation"}], "text", 7, [None]):
        request, _ = made._request("q", "l")
        await made.engine.store(request, damaged)
        assert await made.alookup("q", "l") is None
    await made.aupdate("q", "l", [Generation(text="x", generation_info={"a": 1})])
    assert await made.alookup("q", "l") == [Generation(text="x", generation_info={"a": 1})]


@pytest.mark.parametrize("prompt", ['[{"lc"', '[{"lc": 1}]', '[{"lc": 1, "kwargs": []}]', "[]", "{}", ""])
def test_a_prompt_that_is_no_message_json_is_plain_text(use, prompt):
    made = use()
    made.update(prompt, "l", [Generation(text="x")])
    assert made.lookup(prompt, "l") == [Generation(text="x")]
    assert made.lookup(prompt, "other") is None


async def test_clear_removes_what_came_through_langchain(server, use):
    made = use()
    await Chat(url=server.url).ainvoke(ASKED)
    await made.aclear()
    await Chat(url=server.url).ainvoke(ASKED)
    made.clear()
    Chat(url=server.url).invoke(ASKED)
    assert server.calls == 3


def test_misuse_is_told_by_name():
    for option in ({"history": "all"}, {"tool_calls": 1}, {"cache": "memory://"}, {"nonsense": 1}):
        with pytest.raises((TypeError, ValueError), match=next(iter(option))):
            LangChainCache(**option)


class Secretive(Chat):
    """A model as LangChain's own are: it can be written down, with the name of its secret in the secret's place."""

    key: SecretStr = SecretStr("k")
    part: Any = None

    @classmethod
    def is_lc_serializable(cls):
        return True

    @property
    def lc_secrets(self):
        return {"key": "TENANT_API_KEY"}


def test_a_secret_counts_by_the_variable_that_it_is_named_after(server, use, monkeypatch, caplog):
    use()
    for value, calls in (("a", 1), ("b", 2), ("a", 2)):
        monkeypatch.setenv("TENANT_API_KEY", value)
        Secretive(url=server.url).invoke(ASKED)
        assert server.calls == calls
    assert not caplog.messages
    monkeypatch.delenv("TENANT_API_KEY")
    Secretive(url=server.url).invoke(ASKED)
    Secretive(url=server.url, key="other").invoke(ASKED)
    assert server.calls == 3
    (line,) = caplog.messages
    assert "TENANT_API_KEY" in line
    assert "scope=" in line


def test_a_model_with_a_hidden_part_bypasses_unless_scope_names_the_caller(server, use, caplog):
    use()
    for part in (object(), object()):
        Secretive(url=server.url, part=part).invoke(ASKED)
    assert server.calls == 2
    assert "scope=" in caplog.text
    use(scope={"tenant": 1})
    for part in (object(), object()):
        Secretive(url=server.url, part=part).invoke(ASKED)
    assert server.calls == 3


def test_a_call_described_by_an_address_in_memory_bypasses(server, use):
    use(scope={"tenant": 1})
    for _ in range(2):
        Chat(url=server.url).bind(tool=object()).invoke(ASKED)
    assert server.calls == 2


@pytest.mark.parametrize("plain", [True, False])
async def test_a_context_asks_of_it_what_it_asks_of_functions(server, use, plain):
    use(tool_calls="cache")
    chat = Chat(url=server.url)

    async def ask(**context):
        with CacheContext(**context):
            answer = chat.invoke(ASKED) if plain else await chat.ainvoke(ASKED)
        return answer.content

    with pytest.raises(CacheNotFoundError, match="only-if-cached"):
        await ask(cache_control="only-if-cached")
    assert server.calls == 0
    await ask(cache_control="no-store")
    first = await ask()
    assert server.calls == 2
    assert await ask(cache_control="only-if-cached, max-age=60") == first
    fresh = await ask(cache_control="no-cache")
    assert (server.calls, await ask()) == (3, fresh)
    for _ in range(2):  # what is stored inside is found inside
        inside = await ask(namespace="tenant")
    assert (server.calls, inside) == (4, await ask(namespace="tenant"))


async def test_the_slots_of_a_prompt_template_are_compared_and_the_rest_must_be_equal(server, use):
    form = "Use only this page: {page} Now answer in one word: {question}"
    prompt = ChatPromptTemplate.from_messages([("system", "Be kind."), ("human", form)])
    use(embedder="onnx", prompt_template=prompt.messages[-1].prompt.template)
    chain = prompt | Chat(url=server.url)
    page = "We sell food and toys for animals on weekdays from nine to five. " * 8
    first = await chain.ainvoke({"page": page, "question": "What is the price of cat food?"})
    same = await chain.ainvoke({"page": page, "question": "What is the cost of the cat food?"})
    assert (same.content, server.calls) == (first.content, 1)
    await chain.ainvoke({"page": page, "question": "What is the price of owl food?"})
    assert server.calls == 2
