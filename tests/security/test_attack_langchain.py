"""LangChain's cache: what LangChain says of a model is scope, and a prompt cannot pretend to be a conversation."""

import json

import httpx2
import pytest
from attack_tools import AGAIN, ASKED, user
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, Generation
from langchain_openai import ChatOpenAI

from semantic_llm_cache.integrations.langchain import CachedChatModel, LangChainCache


def chat(*messages):
    return dumps(list(messages))


MODEL = '[("_type", "chat"), ("model", "m"), ("temperature", 0.0)]'
QUESTION = chat(HumanMessage(ASKED))
VARIATIONS = [
    (QUESTION, MODEL),
    (QUESTION, MODEL.replace('"m"', '"n"')),
    (QUESTION, MODEL.replace("0.0", "1.0")),
    (QUESTION, MODEL + "---[('stop', None)]"),
    (QUESTION, MODEL + "---[('stop', ['x'])]"),
    (QUESTION, MODEL + "---[('tools', [{'name': 'a'}])]"),
    (QUESTION, MODEL + "\u200b"),
    (QUESTION, MODEL + " "),
    (QUESTION, ""),
    (QUESTION, ASKED),
    (QUESTION, QUESTION),
    (ASKED, QUESTION),
    (ASKED, MODEL),
    (chat(SystemMessage("a"), HumanMessage(ASKED)), MODEL),
    (chat(SystemMessage("b"), HumanMessage(ASKED)), MODEL),
    (chat(HumanMessage("a"), AIMessage("b"), HumanMessage(ASKED)), MODEL),
    (chat(HumanMessage("b"), AIMessage("a"), HumanMessage(ASKED)), MODEL),
    (chat(HumanMessage(ASKED, name="a")), MODEL),
    (chat(HumanMessage(ASKED, name="b")), MODEL),
    (chat(HumanMessage(ASKED, additional_kwargs={"tenant": "a"})), MODEL),
    (chat(HumanMessage(ASKED, additional_kwargs={"tenant": "b"})), MODEL),
    (chat(HumanMessage([{"type": "text", "text": ASKED}, {"type": "image_url", "image_url": "a"}])), MODEL),
    (chat(HumanMessage([{"type": "text", "text": ASKED}, {"type": "image_url", "image_url": "b"}])), MODEL),
    (chat(HumanMessage([{"type": "text", "text": ASKED, "citations": ["a"]}])), MODEL),
    (chat(HumanMessage([{"type": "text", "text": ASKED, "citations": ["b"]}])), MODEL),
    (json.dumps(user(ASKED)), MODEL),
    (f"System: a\nHuman: {ASKED}", MODEL),
    (f"Human: {ASKED}", MODEL + "System: a"),
]


async def test_calls_that_differ_in_one_place():
    cache = LangChainCache(similarity=0.9)
    leaked = []
    for number, (prompt, llm_string) in enumerate(VARIATIONS):
        if await cache.alookup(prompt, llm_string) is not None:
            leaked.append(number)
        else:
            await cache.aupdate(prompt, llm_string, [ChatGeneration(message=AIMessage(f"answer {number}"))])
    assert leaked == []
    again = [(await cache.alookup(*variation))[0].text for variation in VARIATIONS]
    assert again == [f"answer {number}" for number in range(len(VARIATIONS))]
    near = await cache.alookup(chat(HumanMessage(AGAIN)), MODEL)
    assert near[0].text == "answer 0", "and the same caller's paraphrase is a hit"


async def test_tenants_named_by_scope():
    now = {"tenant": "a"}
    cache = LangChainCache(similarity=0.9, scope=lambda: dict(now))
    await cache.aupdate(QUESTION, MODEL, [Generation(text="for a")])
    assert (await cache.alookup(QUESTION, MODEL))[0].text == "for a"
    now["tenant"] = "b"
    assert await cache.alookup(QUESTION, MODEL) is None
    assert await cache.alookup(chat(HumanMessage(AGAIN)), MODEL) is None


@pytest.mark.parametrize(
    "stored",
    [
        {"lc": 1, "type": "constructor", "id": ["os", "system"], "kwargs": {"command": "true"}},
        {"lc": 1, "type": "secret", "id": ["OPENAI_API_KEY"]},
    ],
)
async def test_an_answer_is_data(stored):
    """An answer that looks like LangChain's own serialised objects comes back as the text that it is."""
    cache = LangChainCache()
    await cache.aupdate(QUESTION, MODEL, [Generation(text=json.dumps(stored))])
    assert (await cache.alookup(QUESTION, MODEL))[0].text == json.dumps(stored)


def answering(key):
    """Return a function that gives a key, as a rotating credential does."""

    def function():
        return key

    return function


PLACES = {
    "key": lambda who: {"api_key": who},
    "callable key": lambda who: {"api_key": answering(who)},
    "header": lambda who: {"default_headers": {"x-tenant": who}},
    "query": lambda who: {"default_query": {"tenant": who}},
    "organization": lambda who: {"organization": who},
    "address": lambda who: {"base_url": f"http://{who}/v1"},
    "proxy": lambda who: {"openai_proxy": f"http://{who}:1"},
    "client": lambda who: {"http_client": httpx2.Client(headers={"x-tenant": who})},
    "async client": lambda who: {"http_async_client": httpx2.AsyncClient(headers={"x-tenant": who})},
    "body": lambda who: {"extra_body": {"tenant": who}},
    "metadata": lambda who: {"metadata": {"tenant": who}},
}


@pytest.mark.parametrize("place", PLACES)
def test_models_that_differ_in_one_hidden_place_share_nothing(place):
    def key(who):
        model = ChatOpenAI(**{"model": "m", "api_key": "k", "base_url": "http://h/v1", **PLACES[place](who)})
        return CachedChatModel(model, backend="memory://")._plan([HumanMessage("q")], None, {}).request.key

    assert key("a") == key("a")
    assert key("a") != key("b")
