"""The providers whose SDKs are called without a wrapper of ours, and how each is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from semantic_llm_cache._installation import install
from semantic_llm_cache.exceptions import PromptCacheError

__all__ = ["PROVIDERS", "Provider"]


def _sdk(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise PromptCacheError(f"the {name} SDK is not installed: {install(name)}, or pass llm_func=") from error


class Provider(NamedTuple):
    """How to call a provider's SDK, with its plain or its async client.

    Attributes:
        package: the package to import.
        clients: the names of its plain and its async client.
        ask: called with a client and the options of the call; its result is awaited if the client is async.
        text: returns the answer's text from the response.
        closed: returns the part of a client to close after the call, as a context manager.
    """

    package: str
    clients: tuple[str, str]
    ask: Callable[[Any, dict[str, Any]], Any]
    text: Callable[[Any], Any]
    closed: Callable[[Any], Any] = lambda client: client

    def call(self, options: dict[str, Any]) -> Any:
        """Ask with the plain client."""
        client = getattr(_sdk(self.package), self.clients[0])()
        with self.closed(client):
            return self.text(self.ask(client, options))

    async def acall(self, options: dict[str, Any]) -> Any:
        """Ask with the async client."""
        client = getattr(_sdk(self.package), self.clients[1])()
        async with self.closed(client):
            return self.text(await self.ask(client, options))


PROVIDERS = {
    "openai": Provider(
        "openai",
        ("OpenAI", "AsyncOpenAI"),
        lambda client, options: client.chat.completions.create(**options),
        lambda reply: reply.choices[0].message.content,
    ),
    "anthropic": Provider(
        "anthropic",
        ("Anthropic", "AsyncAnthropic"),
        lambda client, options: client.messages.create(**{"max_tokens": 1024, **options}),
        lambda reply: "".join(block.text for block in reply.content if block.type == "text"),
    ),
    "ollama": Provider(
        "ollama",
        ("Client", "AsyncClient"),
        lambda client, options: client.chat(**options),
        lambda reply: reply.message.content,
        lambda client: client._client,  # in some versions the outer client cannot be closed
    ),
}
