"""What the tests of `CachedChatModel` share: questions, readers of answers, and models of their own."""

from langchain_core.language_models import BaseChatModel, FakeListChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

ASKED = "How do I reset my password?"
AGAIN = "How can I reset my password?"
NOTE = "semantic_llm_cache"


def note(message):
    return message.response_metadata[NOTE]


def said(message):
    """Return a message without what is of one run: its id, and what the cache did."""
    fields = message.model_dump()
    del fields["id"]
    fields["response_metadata"].pop(NOTE, None)
    return fields


def summed(chunks):
    first, *others = chunks
    return first + others


async def ways(cached, text):
    """Ask in each of the four ways; return the answers as messages."""
    return [
        cached.invoke(text),
        await cached.ainvoke(text),
        summed(list(cached.stream(text))),
        summed([chunk async for chunk in cached.astream(text)]),
    ]


class Bare(BaseChatModel):
    """A model whose stream does not say that it is complete."""

    ends: dict = {}

    @property
    def _llm_type(self):
        return "bare"

    def _generate(self, messages, stop=None, **kwargs):
        return ChatResult(generations=[ChatGeneration(message=AIMessage("whole"))])

    def _stream(self, messages, stop=None, run_manager=None, **kwargs):
        ASKED_OF_BARE.append(messages)
        for text in ("in ", "pieces"):
            ends = self.ends if text == "pieces" or self.ends.get("response_metadata") else {}  # a reason given twice
            yield ChatGenerationChunk(message=AIMessageChunk(text, **ends))


ASKED_OF_BARE: list = []


class Own(AIMessage):
    """A message of a type that this cache does not know."""

    extra: str = "x"


class Maker(FakeListChatModel):
    """A model whose messages are of its own type."""

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        ASKED_OF_BARE.append(messages)
        return ChatResult(generations=[ChatGeneration(message=Own("hello"))])

    def _stream(self, *given, **kwargs):
        raise NotImplementedError
