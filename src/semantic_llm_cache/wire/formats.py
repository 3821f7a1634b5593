"""Which format a path speaks."""

from __future__ import annotations

from functools import lru_cache

from semantic_llm_cache.wire.anthropic import AnthropicMessages
from semantic_llm_cache.wire.base import Format
from semantic_llm_cache.wire.ollama import OllamaChat, OllamaEmbed, OllamaGenerate
from semantic_llm_cache.wire.openai_chat import OpenAIChat
from semantic_llm_cache.wire.openai_embeddings import OpenAIEmbeddings
from semantic_llm_cache.wire.openai_responses import OpenAIResponses

__all__ = ["FORMATS", "find_format"]

FORMATS: tuple[Format, ...] = (
    OllamaChat(),
    OllamaGenerate(),
    OllamaEmbed(),
    OpenAIChat(),
    OpenAIResponses(),
    OpenAIEmbeddings(),
    AnthropicMessages(),
)
"""In this order asked: ``/api/embeddings`` is Ollama's, any other ``/embeddings`` OpenAI's."""


@lru_cache(maxsize=256)
def find_format(path: str) -> Format | None:
    """Return the format spoken at a URL path; None for paths that are not cached.

    Example:
        >>> find_format("/v1/chat/completions").name
        'openai.chat'
    """
    path = path.rstrip("/")
    return next((known for known in FORMATS if path.endswith(known.paths)), None)
