"""The examples of LlamaIndex and DSPy, as they stand, against a provider on the loopback interface."""

import importlib.util
from pathlib import Path

import pytest

from semantic_llm_cache import SemanticCache

EXAMPLES = Path(__file__).parent.parent.parent.parent / "examples"
ASKED = "How do I reset my password?"
AGAIN = "How can I reset my password?"
OTHER = "Which rivers flow through France?"


@pytest.fixture
def example(server, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "k")

    def load(name):
        spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


def test_llamaindex_as_a_script(server, example, capsys):
    example("llamaindex_app").main([ASKED, AGAIN, OTHER])
    told = capsys.readouterr().out.splitlines()
    assert told[:3] == ["Paris is the capital (1).", "Paris is the capital (1).", "Paris is the capital (2)."]
    assert told[3] == "1 of 3 answers came from the cache"
    assert server.calls == 2


async def test_llamaindex_async_and_streamed(server, example):
    from llama_index.core.llms import ChatMessage

    model = example("llamaindex_app").make_model(SemanticCache("memory://", similarity=0.9))

    def messages(text):
        return [ChatMessage(role="system", content="Be brief."), ChatMessage(role="user", content=text)]

    first = await model.achat(messages(ASKED))
    second = await model.achat(messages(AGAIN))
    assert type(second) is type(first)
    assert second.message == first.message
    assert server.calls == 1
    assert model.chat(messages(AGAIN)).message == first.message
    streamed = [part.delta async for part in await model.astream_chat(messages(AGAIN))]
    assert "".join(streamed) == first.message.content
    assert server.calls == 1
    told = [part.delta for part in model.stream_chat(messages(OTHER))]
    assert [part.delta for part in model.stream_chat(messages(OTHER))] == told
    assert len(told) > 2
    assert server.calls == 2
    await model.achat([ChatMessage(role="user", content=ASKED)])
    assert server.calls == 3


DSPY = "[[ ## answer ## ]]\nParis ({n})\n\n[[ ## completed ## ]]"


def test_dspy_as_a_script(server, example, capsys):
    server.answer = DSPY
    example("dspy_app").main([ASKED, AGAIN, OTHER])
    told = capsys.readouterr().out.splitlines()
    assert told[:3] == ["Paris (1)", "Paris (1)", "Paris (2)"]
    assert told[3] == "1 of 3 answers came from the cache"
    assert server.calls == 2


async def test_dspy_async(server, example):
    import dspy

    server.answer = DSPY
    with dspy.context(lm=example("dspy_app").use(SemanticCache("memory://", similarity=0.9))):
        answer = dspy.Predict("question -> answer")
        first = await answer.acall(question=ASKED)
        second = await answer.acall(question=AGAIN)
        assert (type(second), second.toDict()) == (type(first), first.toDict())
        assert server.calls == 1
        await dspy.Predict(dspy.Signature("question -> answer", "Be brief.")).acall(question=ASKED)
        assert server.calls == 2
