"""LiteLLM's cache.

litellm.cache = LiteLLMCache(similarity=0.95)
"""

from __future__ import annotations

import contextlib
import hmac
import json
import os
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from semantic_llm_cache._installation import install
from semantic_llm_cache.calls.lookup import Lookup, forget, remember
from semantic_llm_cache.calls.refusals import accepts, because
from semantic_llm_cache.calls.settings import CallSettings
from semantic_llm_cache.engine.engine import Engine
from semantic_llm_cache.exceptions import EmbeddingUnavailableError, EncryptionKeyError, PromptCacheError
from semantic_llm_cache.integrations._door import Door, check_names, finish_refusal
from semantic_llm_cache.integrations._litellm_scope import digest_of
from semantic_llm_cache.keys.fingerprint import digest
from semantic_llm_cache.keys.request import Request
from semantic_llm_cache.redaction import describe
from semantic_llm_cache.runtime import background

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from semantic_llm_cache.engine.keywords import EngineOptions
    from semantic_llm_cache.wire.checks import ToolCalls

__all__ = ["LiteLLMCache"]

_SALT = os.urandom(16)
_BYPASS = "bypass"
"""Key of a call that is neither answered nor stored."""


class LiteLLMCache:
    """A semantic cache for ``litellm.cache``.

    The last user turn is compared by meaning. The messages before it and all keywords of the call must be equal
    (credential, address, client, metadata, unknown ones), but a few that ``docs/keys.md`` lists; so must LiteLLM's own
    settings and the variables of the environment that may hold a key or an address. Where LiteLLM takes a credential
    from a file or a role, calls bypass the cache unless `scope` names the caller.

    Args:
        cache: the engine; None makes one from `options`.
        history: ``"exact"``, or ``"window:2"``, see `wire.WireCache`.
        tool_calls: ``"bypass"``: answers that call tools are not stored, or ``"cache"``.
        share_across_keys: whether calls with different credentials share answers.
        scope: more that counts: a mapping, or a callable that reads it (a tenant from a context variable).
        supported_call_types: as in LiteLLM's own ``Cache``; None is its default.
        options: of `SemanticCache`: ``similarity``, ``ttl``, ``backend``, ... `cache_if` is called with the answer
            as a dict.

    Raises:
        ValueError, TypeError: naming the argument.
        ImportError: litellm is not installed.
    """

    def __new__(cls, *args: Any, **options: Any) -> LiteLLMCache:
        """Make an instance that is also a LiteLLM cache. Importing LiteLLM takes seconds, so it happens only now."""
        made: LiteLLMCache = object.__new__(_types()[0])
        return made

    def __init__(
        self,
        cache: Engine | None = None,
        *,
        history: str = "exact",
        tool_calls: ToolCalls = "bypass",
        share_across_keys: bool = False,
        scope: Mapping[str, Any] | Callable[[], Any] | None = None,
        supported_call_types: list[Any] | None = None,
        **options: Unpack[EngineOptions],
    ) -> None:
        check_names(options, "share_across_keys", "supported_call_types")
        door = Door("litellm", cache, history=history, tool_calls=tool_calls, scope=scope, options=options)
        more = {} if supported_call_types is None else {"supported_call_types": supported_call_types}
        parent: Any = super()
        parent.__init__(type="local", _backend=_types()[1](door), **more)
        self.door = door
        self.share_across_keys = share_across_keys

    @property
    def engine(self) -> Engine:
        """The engine behind it."""
        return self.door.engine

    def __cache_scope__(self) -> tuple[Any, ...]:
        # As a field of an instance whose method is cached.
        return self.door, self.share_across_keys

    def _is_semantic_cache(self) -> bool:
        # Keeps the messages out of LiteLLM's key, which is our scope, and puts the proxy's tenant into it.
        return True

    def get_cache_key(self, **kwargs: Any) -> str:
        """Return the key of a call: all that counts of it but its messages."""
        import litellm

        given = kwargs.get("cache_key")
        try:
            own = digest_of(litellm, kwargs, self.share_across_keys, self.door.scope is not None)
            if given is not None and _opened(given) is None:  # a key that the caller chose
                own = digest(own, str(given))
        except Exception as error:  # LiteLLM would raise it to the caller
            self.door.bypass(error)
            return _BYPASS
        return _sealed(own)

    def _with_key(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return keywords with a key of ours, in place of any other."""
        given = kwargs.get("cache_key")
        if given == _BYPASS or _opened(given) is not None:
            return kwargs
        return {**kwargs, "cache_key": self.get_cache_key(**kwargs)}

    def get_cache(self, *args: Any, **kwargs: Any) -> Any:
        """Return what LiteLLM is to answer with, or None.

        Raises:
            CacheNotFoundError: nothing, under ``CacheContext(cache_control="only-if-cached")``.
        """
        parent: Any = super()
        return self._checked(parent.get_cache(*args, **self._with_key(kwargs)), kwargs)

    async def async_get_cache(self, *args: Any, **kwargs: Any) -> Any:
        """`get_cache` for async code."""
        parent: Any = super()
        return self._checked(await parent.async_get_cache(*args, **self._with_key(kwargs)), kwargs)

    def add_cache(self, result: Any, *args: Any, **kwargs: Any) -> None:
        """Store an answer."""
        parent: Any = super()
        parent.add_cache(result, *args, **self._with_key(kwargs))

    async def async_add_cache(self, result: Any, *args: Any, **kwargs: Any) -> None:
        """`add_cache` for async code."""
        parent: Any = super()
        await parent.async_add_cache(result, *args, **self._with_key(kwargs))

    def _checked(self, found: Any, kwargs: Mapping[str, Any]) -> Any:
        # Here and not in the backend: LiteLLM treats whatever a backend raises as a miss.
        parent: Any = super()
        if found is None and parent.should_use_cache(**kwargs) is True:
            with contextlib.suppress(EmbeddingUnavailableError):
                self.door.may_call(self.door.settings()[0], "LiteLLM found nothing that it can use")
        return found


class _Backend:
    """The four methods by which LiteLLM's cache keeps answers. Its key is the scope of what is asked."""

    def __init__(self, door: Door) -> None:
        super().__init__()
        self.door = door

    def _request(self, key: str, kwargs: Mapping[str, Any]) -> tuple[Request, CallSettings] | None:
        own = _opened(key)
        if own is None:
            return None
        messages = kwargs.get("messages")
        text: Any = "" if messages is None else messages
        try:
            settings, namespace = self.door.settings()
            if not settings.enabled:
                return None
            if isinstance(text, list):
                text = [m if isinstance(m, Mapping) else m.model_dump() for m in text]
            return self.door.request(text, {"key": own}, namespace), settings
        except (PromptCacheError, AttributeError) as error:
            self.door.bypass(error)
            return None

    async def async_get_cache(self, key: str, **kwargs: Any) -> Any:
        """Return what was stored for a call like this one, or None."""
        return self._taken(await self._find(key, kwargs), kwargs)

    def get_cache(self, key: str, **kwargs: Any) -> Any:
        """`async_get_cache` for plain code."""
        found = background.run(self._find(key, kwargs))
        if found is not None:
            remember(found)  # here too, as the background loop has its own context
        return self._taken(found, kwargs)

    async def _find(self, key: str, kwargs: Mapping[str, Any]) -> Lookup | None:
        forget()  # a call that bypasses the cache must not pass for the one before it
        planned = self._request(key, kwargs)
        if planned is None:
            return None
        request, settings = planned
        try:
            return await self.door.engine.lookup(request, settings=settings)
        except EncryptionKeyError as error:  # LiteLLM would log it at each call
            self.door.bypass(error)
            return None

    def _taken(self, found: Lookup | None, kwargs: Mapping[str, Any]) -> Any:
        if found is None:
            return None
        metadata = kwargs.get("metadata")
        if isinstance(metadata, dict) and found.similarity is not None:
            metadata["semantic-similarity"] = found.similarity
        return found.response["value"] if found.hit else None

    async def async_set_cache(self, key: str, value: Any, **kwargs: Any) -> None:
        """Store an answer, unless it is cut short, refused, empty, or calls tools."""
        planned = self._request(key, kwargs)
        if planned is None:
            return
        request, settings = planned
        answer = _answer(value)
        reason = "" if answer is None else self._refusal(answer)
        if reason:
            self.door.refused(reason)
            return
        stored: dict[str, Any] = {"value": value}
        if answer is not None:
            stored["content"] = _words(answer)
            if isinstance(answer.get("usage"), Mapping):
                stored["usage"] = dict(answer["usage"])
        ttl = {"ttl": kwargs["ttl"]} if kwargs.get("ttl") is not None else {}
        try:
            await self.door.engine.store(request, stored, settings=settings, **ttl)
        except EncryptionKeyError as error:
            self.door.bypass(error)

    def set_cache(self, key: str, value: Any, **kwargs: Any) -> None:
        """`async_set_cache` for plain code."""
        background.run(self.async_set_cache(key, value, **kwargs))

    async def async_set_cache_pipeline(self, cache_list: Any, **kwargs: Any) -> None:
        """Store several answers: LiteLLM does so for the parts of an embedding call."""
        for key, value in cache_list:
            await self.async_set_cache(key, value, **{**kwargs, "messages": None})

    async def disconnect(self) -> None:
        """Do nothing: the backend stays open for others."""

    def flush_cache(self) -> None:
        """Remove all that was stored through LiteLLM."""
        background.run(self.door.clear())

    def _refusal(self, answer: Mapping[str, Any]) -> str:
        """Return why an answer must not be stored, ``""`` where it may be."""
        choices = answer.get("choices")
        if not isinstance(choices, list):
            return ""
        reason = "" if choices else because("no-answer")
        for choice in choices:
            reason = reason or self._refusal_of_choice(choice)
        wanted = self.door.engine.cache_if
        if reason or wanted is None:
            return reason
        try:
            return "" if accepts(wanted, answer) else because("cache-if", "it returned False")
        except Exception as error:
            self.door.engine.log_once("cache_if", f"cache_if raised {describe(error)}: answers are not stored")
            return because("cache-if", f"it raised {describe(error)}")

    def _refusal_of_choice(self, choice: Any) -> str:
        message = choice.get("message") if isinstance(choice, Mapping) else None
        if not isinstance(message, Mapping):
            return because("no-answer", "no message")
        calls = bool(message.get("tool_calls") or message.get("function_call"))
        content = message.get("content")
        finish = finish_refusal(choice.get("finish_reason"))
        if finish:
            return finish
        if message.get("refusal"):
            return because("refusal")
        if calls and not self.door.tool_calls:
            return because("tool-calls")
        return "" if calls or (isinstance(content, str) and content.strip()) else because("empty")


def _sealed(own: str) -> str:
    """Return a key as LiteLLM gets it: sealed, so that it cannot be confused with one that a caller chose."""
    return f"{own}.{hmac.new(_SALT, own.encode(), 'sha256').hexdigest()[:32]}"


def _opened(key: Any) -> str | None:
    """Return the key that was sealed by this process; None for any other."""
    own = key.partition(".")[0] if isinstance(key, str) else ""
    return own if own and hmac.compare_digest(_sealed(own).encode(), key.encode()) else None


@cache
def _types() -> tuple[type, type]:
    """Return `LiteLLMCache` and `_Backend` as LiteLLM's own kinds of cache."""
    try:
        from litellm.caching.base_cache import BaseCache
        from litellm.caching.caching import Cache
    except ImportError as error:
        raise ImportError(f"LiteLLMCache needs litellm: {install('litellm')}") from error
    return type("LiteLLMCache", (LiteLLMCache, Cache), {}), type("_Backend", (_Backend, BaseCache), {})


def _answer(value: Any) -> dict[str, Any] | None:
    """Return the answer inside of what LiteLLM stores: {"timestamp": ..., "response": JSON text}."""
    response = value.get("response") if isinstance(value, Mapping) else None
    if isinstance(response, str):
        try:
            response = json.loads(response)
        except ValueError:
            return None
    return response if isinstance(response, dict) else None


def _words(answer: Mapping[str, Any]) -> str:
    choices = answer.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], Mapping):
        content = (choices[0].get("message") or {}).get("content")
        return content if isinstance(content, str) else ""
    return ""
