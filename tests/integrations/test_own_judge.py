"""`verify="model"` and `same_answer="model"` where the door wraps one model: that model judges."""

import re

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from openai import AsyncOpenAI

from semantic_llm_cache import ModelJudge, SemanticCache
from semantic_llm_cache.backends import MemoryBackend
from semantic_llm_cache.integrations.langchain import CachedChatModel, LangChainCache
from semantic_llm_cache.integrations.openai import wrap

FIRST, SECOND = "How do I reset my password?", "How can I reset my password?"


class Asked:
    """What a model was asked; as a judge it always says that two prompts ask the same."""

    def __init__(self):
        self.prompts = []

    def __cache_scope__(self):
        return "asked"  # not what it was asked so far

    def reply(self, prompt):
        self.prompts.append(prompt)
        code = re.search(r"SAME-[0-9a-f]+", prompt)
        return code[0] if code else "an answer"

    @property
    def judged(self):
        return ["SAME-" in prompt for prompt in self.prompts]


class Chat(BaseChatModel):
    """A model of LangChain whose replies are lists of blocks, as those of some providers are."""

    asked: Asked
    model_config = {"arbitrary_types_allowed": True}

    @property
    def _llm_type(self):
        return "chat"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        blocks = [{"type": "text", "text": self.asked.reply(messages[-1].text)}]
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content=blocks))])


OPTIONS = {"similarity": 0.5, "guards": None, "verify": "model", "scope": {"tenant": 1}}


@pytest.mark.parametrize("plain", [True, False])
async def test_langchains_model_judges(plain):
    asked = Asked()
    model = CachedChatModel(Chat(asked=asked), backend=MemoryBackend(), **OPTIONS)
    for prompt in (FIRST, SECOND):
        answer = model.invoke(prompt) if plain else await model.ainvoke(prompt)
    assert answer.response_metadata["semantic_llm_cache"]["outcome"] == "near"
    assert asked.judged == [False, True]


def test_verdicts_are_kept_where_the_answers_are():
    backend = MemoryBackend()
    model = CachedChatModel(Chat(asked=Asked()), SemanticCache(backend), similarity=0.5, same_answer="model")
    judge = model.engine.options.same_answer
    assert isinstance(judge, ModelJudge)
    assert judge._cache.backend is backend


@pytest.mark.parametrize("option", ["same_answer", "verify"])
def test_a_door_without_a_model_of_its_own_says_what_to_pass(option):
    given = {"backend": "memory://", "similarity": 0.9, option: "model"}
    for make in (lambda: wrap(AsyncOpenAI(api_key="k"), **given), lambda: LangChainCache(**given)):
        with pytest.raises(TypeError, match=rf"{option}='model'.*{option}=ModelJudge\(client, model="):
            make()
