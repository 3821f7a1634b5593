"""A chat model of LangChain as a judge: one prompt, one text."""

from __future__ import annotations

from langchain_core.language_models import BaseChatModel

from semantic_llm_cache.exceptions import CacheKeyError
from semantic_llm_cache.integrations.langchain.scope import form_of_model

__all__ = ["ask_plainly", "name_of_model"]


def ask_plainly(model: BaseChatModel, prompt: str) -> str:
    """Return the text of a model's reply to one prompt. The callbacks of the caller's run do not see this call."""
    content = model.invoke(prompt, config={"callbacks": [], "run_name": "semantic-llm-cache judge"}).content
    if isinstance(content, str):
        return content
    return "".join(block if isinstance(block, str) else str(block.get("text", "")) for block in content)


def name_of_model(model: BaseChatModel) -> str:
    """Return what verdicts of a model are stored under: its class, its name, and a keyed hash of all it holds."""
    name = getattr(model, "model_name", None) or getattr(model, "model", None) or ""
    try:
        held = form_of_model(model)
    except CacheKeyError:
        held = ""
    return " ".join(("langchain", type(model).__qualname__, str(name), held))
