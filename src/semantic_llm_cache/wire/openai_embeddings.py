"""OpenAI embeddings: equal input only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from semantic_llm_cache.calls.refusals import because
from semantic_llm_cache.wire.base import Format, Reading

__all__ = ["OpenAIEmbeddings"]


class OpenAIEmbeddings(Format):
    """``POST .../embeddings``. The vector of a near text is another vector, so near matching is off."""

    name = "openai.embeddings"
    paths = ("/embeddings",)

    def take(self, rest: dict[str, Any], reading: Reading) -> tuple[str, dict[str, Any], bool] | None:
        """Take all of it as scope: outer space counts here, which the text would lose."""
        if "input" not in rest:
            return None
        return "", {"body": rest}, False

    def streams(self, body: Mapping[str, Any]) -> bool:
        """Never."""
        return False

    def unfit(self, answer: Mapping[str, Any], tool_calls: bool) -> str:
        """Every input has its vector."""
        data = answer.get("data")
        if answer.get("error") or not isinstance(data, list) or not data:
            return because("no-answer", "no vectors")
        if not all(isinstance(item, Mapping) and item.get("embedding") for item in data):
            return because("no-answer", "an empty vector")
        return ""
