"""A model to put a question to: an SDK's client, a provider's name, a `CachedLLM`, or a callable."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from semantic_llm_cache.arguments import shown, unknown
from semantic_llm_cache.calls.context import CacheContext
from semantic_llm_cache.doors.providers import PROVIDERS, Provider
from semantic_llm_cache.exceptions import CacheKeyError
from semantic_llm_cache.keys.callable_scope import CallableScope
from semantic_llm_cache.runtime.threads import in_thread

__all__ = ["Chat", "open_chat"]

_SHAPES = {
    "openai": ("chat", "completions", "create"),
    "anthropic": ("messages", "create"),
    "ollama": ("chat",),
}
"""Provider -> the path, in its SDK's clients, of the method that takes a model and messages."""


class Chat:
    """Asks one model.

    Args:
        ask: sync or async, from a prompt to a reply.
        text: returns the text of a reply.
        name: what verdicts of this model are stored under.
    """

    def __init__(self, ask: Callable[[str], Any], text: Callable[[Any], Any], name: str) -> None:
        self._ask = ask
        self._text = text
        self.name = name

    async def reply(self, prompt: str) -> Any:
        """Return the model's reply. Nothing on the way is answered from a cache.

        A near match between two such prompts would mean nothing, so caches that the call passes are off.
        """
        with CacheContext(enabled=False):
            if inspect.iscoroutinefunction(self._ask):
                return await self._ask(prompt)
            value = await in_thread(lambda: self._ask(prompt), "semantic-llm-cache-judge")
            return await value if inspect.isawaitable(value) else value

    def text(self, reply: Any) -> str:
        """Return the text of a reply; "" if it has none."""
        text = reply if isinstance(reply, str) else self._text(reply)
        return text if isinstance(text, str) else ""


def open_chat(door: Any, model: str | None, request: Mapping[str, Any]) -> Chat:
    """Return the `Chat` of a model.

    Args:
        door: a client of openai, anthropic or ollama, sync or async; the name of one of these; a `CachedLLM`; or a
            callable from a prompt to text, sync or async.
        model: the model's name; for a callable and a `CachedLLM` it may be None.
        request: further fields of each request, such as ``temperature``.

    Raises:
        TypeError, ValueError: naming the argument.
    """
    if model is not None and (not isinstance(model, str) or not model):
        raise ValueError(f"model={shown(model)} must be a non-empty string")
    if isinstance(door, str):
        if door not in PROVIDERS:
            raise ValueError(
                f"client={shown(door)}: {unknown('provider', door, PROVIDERS)}. For others pass a callable"
            )
        known = PROVIDERS[door]
        return _provider_chat(door, known, known.acall, model, request)
    if hasattr(door, "achat") and hasattr(door, "provider"):  # a CachedLLM
        return open_chat(door.provider, model or door.model, request)
    for name, path in _SHAPES.items():
        if callable(_at(door, path)):
            known = PROVIDERS[name]
            return _provider_chat(_client_name(door), known, _asks(known, door), model, request)
    if not callable(door):
        raise TypeError(
            f"client={type(door).__name__} must be a client of openai, anthropic or ollama, one of these names, a "
            "CachedLLM, or a callable from a prompt to text"
        )
    if request:
        raise ValueError("request= goes to a provider's client: a callable puts such fields in itself")
    return Chat(door, _own_text, f"callable {_callable_name(door, model)}")


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        value = getattr(value, name, None)
    return value


def _asks(provider: Provider, client: Any) -> Callable[[dict[str, Any]], Any]:
    def ask(options: dict[str, Any]) -> Any:
        return provider.ask(client, options)

    return ask


def _client_name(client: Any) -> str:
    kind = type(client)
    base = getattr(client, "base_url", None) or getattr(getattr(client, "_client", None), "base_url", "")
    return f"{kind.__module__.partition('.')[0]} {base}"


def _provider_chat(
    name: str,
    provider: Provider,
    ask: Callable[[dict[str, Any]], Any],
    model: str | None,
    request: Mapping[str, Any],
) -> Chat:
    if model is None:
        raise ValueError("model= is missing: name the model of client= that judges")

    def put(prompt: str) -> Any:
        return ask({"model": model, "messages": [{"role": "user", "content": prompt}], **request})

    return Chat(put, provider.text, f"{name} {model}")


def _own_text(reply: Any) -> Any:
    from semantic_llm_cache.matching.answers.text import answer_text

    return answer_text(reply)


def _callable_name(function: Callable[..., Any], model: str | None) -> str:
    if model is not None:
        return model
    try:
        return repr(CallableScope("client").of(function))
    except CacheKeyError as error:
        raise ValueError(
            f"model= is missing: name what the callable asks, as it cannot be named itself ({error})"
        ) from error
