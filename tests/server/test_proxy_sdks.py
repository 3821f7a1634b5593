"""SDKs against the proxy, unchanged but for their base URL."""

import subprocess

import anthropic
import ollama
import openai
from pydantic import BaseModel


def user(text):
    return [{"role": "user", "content": text}]


def test_openai_chat_is_answered_from_the_cache(shared, server):
    with openai.OpenAI(base_url=f"{shared.url}/v1", api_key="k") as client:
        replies = [
            client.chat.completions.with_raw_response.create(model="m", messages=user("chat, plain")) for _ in range(2)
        ]
    assert server.calls == 1
    assert replies[0].content == replies[1].content
    assert [reply.headers["x-cache"] for reply in replies] == ["MISS", "HIT"]
    assert replies[0].headers["cache-status"] == "semantic-llm-cache; fwd=miss; fwd-status=200; stored"
    assert replies[1].headers["cache-status"] == "semantic-llm-cache; hit"
    assert replies[1].headers["age"] == "0"
    assert replies[1].headers["x-cache-id"] != replies[0].headers["x-cache-id"]


async def test_openai_streams_are_replayed(shared, server):
    async with openai.AsyncOpenAI(base_url=shared.url, api_key="k") as client:

        async def words():
            stream = await client.chat.completions.create(model="m", messages=user("chat, stream"), stream=True)
            return [chunk.choices[0].delta.content async for chunk in stream if chunk.choices]

        first = await words()
        assert await words() == first
    assert len(first) > 3
    assert server.calls == 1


def test_openai_responses_embeddings_and_parse(shared, server):
    class City(BaseModel):
        name: str

    server.answer = '{{"name": "Paris"}}'
    with openai.OpenAI(base_url=f"{shared.url}/v1", api_key="k") as client:
        for _ in range(2):
            assert client.responses.create(model="m", input="responses").output_text == '{"name": "Paris"}'
            assert client.embeddings.create(model="m", input="embed").data[0].embedding[:2] == [0.1, 0.2]
            parsed = client.chat.completions.parse(model="m", messages=user("parse"), response_format=City)
            assert parsed.choices[0].message.parsed == City(name="Paris")
            with client.responses.stream(model="m", input="responses, stream") as stream:
                assert [event.type for event in stream][-1] == "response.completed"
    assert server.calls == 4


def test_openai_tools_pass_through(shared, server):
    server.tool = ("weather", {"place": "Paris"})
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
    with openai.OpenAI(base_url=f"{shared.url}/v1", api_key="k") as client:
        for _ in range(2):
            reply = client.chat.completions.with_raw_response.create(model="m", messages=user("tools"), tools=tools)
            assert reply.parse().choices[0].message.tool_calls[0].function.name == "weather"
            assert reply.headers["cache-status"].endswith("detail=tool-calls")
            assert reply.headers["x-cache-store"].startswith("no; reason=tool-calls")
    assert server.calls == 2


async def test_anthropic_sync_async_and_streams(shared, server):
    asked = {"model": "m", "max_tokens": 9, "messages": user("anthropic")}
    with anthropic.Anthropic(base_url=f"{shared.url}/anthropic", api_key="k") as client:
        texts = [client.messages.create(**asked).content[0].text for _ in range(2)]
        assert texts == ["Paris is the capital (1)."] * 2
        for _ in range(2):
            with client.messages.stream(**{**asked, "messages": user("anthropic, stream")}) as stream:
                assert "".join(stream.text_stream) == "Paris is the capital (2)."
    async with anthropic.AsyncAnthropic(base_url=f"{shared.url}/anthropic", api_key="k") as client:
        assert (await client.messages.create(**asked)).content[0].text == texts[0]
    assert server.calls == 2


async def test_openai_async_parse_and_tools(shared, server):
    class City(BaseModel):
        name: str

    server.answer = '{{"name": "Paris"}}'
    async with openai.AsyncOpenAI(base_url=f"{shared.url}/v1", api_key="k") as client:
        for _ in range(2):
            parsed = await client.chat.completions.parse(model="m", messages=user("async, parse"), response_format=City)
            assert parsed.choices[0].message.parsed == City(name="Paris")
        assert server.calls == 1
        server.tool = ("weather", {"place": "Paris"})
        tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
        for _ in range(2):
            reply = await client.chat.completions.create(model="m", messages=user("async, tools"), tools=tools)
            assert reply.choices[0].message.tool_calls[0].function.name == "weather"
    assert server.calls == 3


async def test_anthropic_tools_pass_through(shared, server):
    server.tool = ("weather", {"place": "Paris"})
    tools = [{"name": "weather", "input_schema": {"type": "object"}}]
    asked = {"model": "m", "max_tokens": 9, "messages": user("anthropic, tools"), "tools": tools}
    with anthropic.Anthropic(base_url=f"{shared.url}/anthropic", api_key="k") as client:
        for _ in range(2):
            calls = [block for block in client.messages.create(**asked).content if block.type == "tool_use"]
            assert [(call.name, call.input) for call in calls] == [("weather", {"place": "Paris"})]
    async with anthropic.AsyncAnthropic(base_url=f"{shared.url}/anthropic", api_key="k") as client:
        async with client.messages.stream(**asked) as stream:
            message = await stream.get_final_message()
        assert [block.input for block in message.content if block.type == "tool_use"] == [{"place": "Paris"}]
    assert server.calls == 3


def test_ollama(shared, server):
    client = ollama.Client(host=f"{shared.url}/ollama")
    for _ in range(2):
        assert client.chat(model="m", messages=user("ollama")).message.content == "Paris is the capital (1)."
        pieces = [part.message.content for part in client.chat(model="m", messages=user("ollama"), stream=True)]
        assert "".join(pieces) == "Paris is the capital (1)."
    assert server.calls == 1
    client._client.close()


def test_curl(shared, server):
    body = '{"model": "m", "messages": [{"role": "user", "content": "curl"}]}'
    command = ["curl", "-sS", "-i", f"{shared.url}/v1/chat/completions", "-H", "authorization: Bearer k"]
    command += ["-H", "content-type: application/json", "-d", body]
    texts = [subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout for _ in range(2)]
    assert "cache-status: semantic-llm-cache; fwd=miss" in texts[0]
    assert "cache-status: semantic-llm-cache; hit" in texts[1]
    assert server.calls == 1


async def test_langchain(shared, server):
    from langchain_openai import ChatOpenAI

    # LangChain keeps its HTTP clients for ever, so connections are closed after each answer.
    fields = {"model": "m", "api_key": "k", "base_url": f"{shared.url}/v1", "default_headers": {"connection": "close"}}
    model = ChatOpenAI(**fields, max_retries=0)
    first = model.invoke("langchain").content
    assert model.invoke("langchain").content == first
    assert (await model.ainvoke("langchain")).content == first
    assert "".join([part.content async for part in model.astream("langchain, stream")]) == first.replace("1", "2")
    assert "".join(part.content for part in model.stream("langchain, stream")) == first.replace("1", "2")
    assert server.calls == 2
