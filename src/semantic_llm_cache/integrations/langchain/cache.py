"""LangChain's cache.

set_llm_cache(LangChainCache(similarity=0.95))
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.caches import BaseCache
from langchain_core.outputs import Generation

from semantic_llm_cache.calls import lookup as lookups
from semantic_llm_cache.calls.refusals import accepts, because
from semantic_llm_cache.calls.settings import CallSettings
from semantic_llm_cache.engine.driving import Steps, drive, drive_blocking
from semantic_llm_cache.engine.engine import Engine
from semantic_llm_cache.exceptions import CacheKeyError, PromptCacheError
from semantic_llm_cache.integrations._door import Door
from semantic_llm_cache.integrations.langchain.scope import ROLES
from semantic_llm_cache.integrations.langchain.stored import cut_off, misfit, of_run, plain, rebuilt, usage_of
from semantic_llm_cache.keys.request import Request
from semantic_llm_cache.keys.secret_hashes import secret_hash
from semantic_llm_cache.redaction import describe
from semantic_llm_cache.runtime import background
from semantic_llm_cache.wire.steps import Do

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from semantic_llm_cache.engine.keywords import EngineOptions
    from semantic_llm_cache.wire.checks import ToolCalls

__all__ = ["LangChainCache"]

_SECRET = re.compile(r'{"id": \["([^"]+)"\], "lc": 1, "type": "secret"}')
"""How LangChain writes a secret of a model down."""
_HIDDEN = '"type": "not_implemented"'
_MEMORY = re.compile(r" at 0x[0-9a-fA-F]+")


class LangChainCache(BaseCache):
    """A semantic cache for ``langchain_core.globals.set_llm_cache``.

    The last user turn is compared by meaning. The messages before it, and all that LangChain says about the model (its
    name, temperature, tools, stop words), must be equal. LangChain gives only the names of a model's secrets,
    such as ``OPENAI_API_KEY``: the environment variable of that name counts.

    **LangChain does not show a key, a header or an HTTP client that is given in code. Where callers differ by one,
    name them with `scope`**, or put the cache below, at the connection (`integrations.httpx`). A model with a part
    that LangChain cannot write down bypasses the cache unless `scope` is given. A call that LangChain describes by an
    address in memory always bypasses it.

    LangChain's ``stream`` and ``astream`` do not ask any cache, and concurrent equal calls each reach the model: a
    `CachedChatModel` serves both.

    Args:
        cache: the engine; None makes one from `options`.
        history: ``"exact"``, or ``"window:2"``, see `wire.WireCache`.
        tool_calls: ``"bypass"``: answers that call tools are not stored, or ``"cache"``.
        scope: more that counts: a mapping, or a callable that reads it (a tenant from a context variable).
        options: of `SemanticCache`: ``similarity``, ``ttl``, ``backend``, ... `cache_if` is called with the list of
            generations.

    Raises:
        ValueError, TypeError: naming the argument.
    """

    def __init__(
        self,
        cache: Engine | None = None,
        *,
        history: str = "exact",
        tool_calls: ToolCalls = "bypass",
        scope: Mapping[str, Any] | Callable[[], Any] | None = None,
        **options: Unpack[EngineOptions],
    ) -> None:
        self.door = Door("langchain", cache, history=history, tool_calls=tool_calls, scope=scope, options=options)

    @property
    def engine(self) -> Engine:
        """The engine behind it."""
        return self.door.engine

    def __cache_scope__(self) -> Door:
        # As a field of an instance whose method is cached.
        return self.door

    def _request(self, prompt: str, llm_string: str) -> tuple[Request, CallSettings] | None:
        """Return the request and settings of a call; None for one that bypasses the cache."""
        try:
            settings, namespace = self.door.settings()
            if not settings.enabled:
                return None
            self._check(llm_string)
            messages = _messages(prompt)
            scope = {"llm": llm_string, "secrets": self._secrets(llm_string)}
            return self.door.request(prompt if messages is None else messages, scope, namespace), settings
        except PromptCacheError as error:
            self.door.bypass(error)
            return None

    def _check(self, llm_string: str) -> None:
        """Raise CacheKeyError for a description that two different models may share."""
        if _MEMORY.search(llm_string):
            raise CacheKeyError("LangChain describes a part of it by an address in memory, which says nothing")
        if self.door.scope is None and _HIDDEN in llm_string:
            raise CacheKeyError("LangChain hides a part of the model: name with scope= what tells two models apart")

    def _secrets(self, llm_string: str) -> list[tuple[str, str]]:
        """Return the names of a model's secrets, and keyed hashes of what the environment has under them."""
        found = []
        for name in sorted(set(_SECRET.findall(llm_string))):
            value = os.environ.get(name)
            found.append((name, "" if value is None else secret_hash(value)))
            if value is None and self.door.scope is None:
                self.engine.log_once(
                    f"langchain {name}",
                    f"LangChain does not tell a cache the secret {name}: callers that differ by it share answers, "
                    "unless scope= tells them apart",
                )
        return found

    async def alookup(self, prompt: str, llm_string: str) -> Sequence[Generation] | None:
        """Return the stored generations for a prompt like this one, or None.

        Raises:
            CacheNotFoundError: none, under ``CacheContext(cache_control="only-if-cached")``.
        """
        found: list[Generation] | None = await drive(self._lookup(prompt, llm_string))
        return found

    def lookup(self, prompt: str, llm_string: str) -> Sequence[Generation] | None:
        """`alookup` for plain code."""
        found: list[Generation] | None = drive_blocking(self._lookup(prompt, llm_string))
        return found

    def _lookup(self, prompt: str, llm_string: str) -> Steps:
        lookups.forget()  # a call that bypasses the cache must not pass for the one before it
        planned = self._request(prompt, llm_string)
        if planned is None:
            return None
        request, settings = planned
        found = yield Do(lambda: self.engine.lookup(request, settings=settings))
        lookups.remember(found)
        generations = _rebuilt(found.response) if found.hit else None
        if generations is None:
            self.door.may_call(settings, found.reason)
        return generations

    async def aupdate(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """Store generations, unless they are cut short, refused, empty, or call tools."""
        await drive(self._update(prompt, llm_string, return_val))

    def update(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """`aupdate` for plain code."""
        drive_blocking(self._update(prompt, llm_string, return_val))

    def _update(self, prompt: str, llm_string: str, generations: Sequence[Generation]) -> Steps:
        planned = self._request(prompt, llm_string)
        if planned is None or not self._fit(generations):
            return
        request, settings = planned
        stored = [_plain(generation) for generation in generations]
        reason = next(filter(None, map(cut_off, stored)), "")
        if reason:
            self.door.refused(reason)
            return
        yield Do(lambda: self.engine.store(request, stored, settings=settings))

    async def aclear(self, **kwargs: Any) -> None:
        """Remove all that was stored through LangChain."""
        await self.door.clear()

    def clear(self, **kwargs: Any) -> None:
        """`aclear` for plain code."""
        background.run(self.door.clear())

    def _fit(self, generations: Sequence[Generation]) -> bool:
        """Return whether generations may be stored; if not, log why, once per kind of reason."""
        reason = self._refusal(generations)
        self.door.refused(reason)
        return not reason

    def _refusal(self, generations: Sequence[Generation]) -> str:
        if not generations:
            return because("empty")
        reason = next(filter(None, (misfit(generation, self.door.tool_calls) for generation in generations)), "")
        if reason:
            return reason
        wanted = self.engine.cache_if
        try:
            return (
                "" if wanted is None or accepts(wanted, list(generations)) else because("cache-if", "it returned False")
            )
        except Exception as error:
            self.engine.log_once("cache_if", f"cache_if raised {describe(error)}: answers are not stored")
            return because("cache-if", f"it raised {describe(error)}")


def _messages(prompt: str) -> list[dict[str, Any]] | None:
    """Return the messages that LangChain wrote as JSON; None for a prompt that is plain text."""
    if not prompt.startswith('[{"lc"'):
        return None
    try:
        read = json.loads(prompt)
        messages = []
        for item in read:
            fields = dict(item["kwargs"])
            kind = fields.pop("type")
            if item.get("type") != "constructor":
                return None
            role = fields.pop("role", kind) if kind == "chat" else ROLES.get(kind, kind)
            messages.append({"role": str(role), **fields, "kind": item["id"][-1]})
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError):
        return None
    return messages


def _plain(generation: Generation) -> dict[str, Any]:
    """Return a generation as plain data, with what people and policies read of it."""
    data = plain(generation)
    message = getattr(generation, "message", None)
    if message is None:
        return data
    if of_run(data["message"].get("id")):
        # In the state of an agent, a message replaces another one with its id.
        del data["message"]["id"]
    usage = usage_of(message)
    # `usage` is where the engine counts tokens, `content` what people and policies read.
    return {**data, "content": str(generation.text), **({"usage": usage} if usage else {})}


def _rebuilt(stored: Any) -> list[Generation] | None:
    """Return stored generations; None for anything that is not of the table."""
    try:
        return [rebuilt(data) for data in stored]
    except (KeyError, TypeError, ValueError):
        return None
