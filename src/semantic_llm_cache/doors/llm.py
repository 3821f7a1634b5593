"""`CachedLLM`: a cached chat with a provider, without a function to decorate."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from semantic_llm_cache.arguments import unknown
from semantic_llm_cache.calls.lookup import forget
from semantic_llm_cache.calls.settings import CallSettings, current
from semantic_llm_cache.config import TTL, TTLFunction
from semantic_llm_cache.doors.cache import SemanticCache
from semantic_llm_cache.doors.decorator import refuse_idle
from semantic_llm_cache.doors.providers import PROVIDERS
from semantic_llm_cache.engine.options import ENGINE_OPTIONS, refuse_unknown
from semantic_llm_cache.exceptions import PromptCacheError
from semantic_llm_cache.keys.callable_scope import CallableScope
from semantic_llm_cache.keys.client_forms import PROXY_VARIABLES
from semantic_llm_cache.keys.fingerprint import canonical
from semantic_llm_cache.keys.request import Request
from semantic_llm_cache.keys.secret_hashes import secret_hash
from semantic_llm_cache.runtime import background
from semantic_llm_cache.runtime.awaiting import maybe_await
from semantic_llm_cache.storage.contract import StorageBackend
from semantic_llm_cache.storage.registry import encrypted_backend

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from semantic_llm_cache.engine.keywords import ModelOptions

__all__ = ["CachedLLM"]


class CachedLLM:
    """Asks a model through the cache.

    Args:
        provider: ``"openai"``, ``"anthropic"``, ``"ollama"``, or any name when you pass `llm_func`.
        model: the model's name.
        similarity, ttl, backend, namespace, enabled: as in `cache`.
        options: further options of `SemanticCache`, such as `embedder` or `on_event`. Here `same_answer` and `verify`
            may also be ``"model"``: this provider and model judge, see `ModelJudge`.

    Provider, model, every keyword of the call, and `llm_func` are part of the scope; without `llm_func`, the
    environment variables that the provider's SDK reads (``OPENAI_...``), as a keyed hash.

    Example:
        >>> llm = CachedLLM(model="small", backend="memory://")
        >>> llm.chat("hello", llm_func=lambda prompt: prompt.upper())
        'HELLO'
    """

    def __init__(
        self,
        provider: str = "openai",
        model: str = "gpt-4",
        similarity: float = 1.0,
        ttl: TTL | TTLFunction = 3600,
        backend: StorageBackend | str | None = None,
        namespace: str = "default",
        enabled: bool = True,
        **options: Unpack[ModelOptions],
    ) -> None:
        refuse_unknown(options, ("provider", "model", *ENGINE_OPTIONS))
        for name, value in (("provider", provider), ("model", model)):
            if not isinstance(value, str) or not value:
                raise ValueError(f"{name}={value!r} must be a non-empty string")
        self.provider = provider
        self.model = model
        given: dict[str, Any] = {**options}
        if "model" in (given.get("same_answer"), given.get("verify")):
            self._judge_with(given, backend)
        self.engine = SemanticCache(
            backend, similarity=similarity, ttl=ttl, namespace=namespace, enabled=enabled, **given
        )
        refuse_idle(given, self.engine)
        self._functions = CallableScope("llm_func")

    def _judge_with(self, options: dict[str, Any], backend: StorageBackend | str | None) -> None:
        from semantic_llm_cache.doors.judge import ModelJudge

        if backend is not None and options.get("encryption_key") is not None:
            backend = encrypted_backend(backend, options["encryption_key"], "encryption_key")
        judge = ModelJudge(self.provider, self.model, backend=backend)
        options.update({name: judge for name in ("same_answer", "verify") if options.get(name) == "model"})

    def __cache_scope__(self) -> Any:
        # Used as a field of an instance whose method is cached, or is an `llm_func`.
        return self.provider, self.model

    async def achat(self, prompt: str, llm_func: Callable[..., Any] | None = None, **kwargs: Any) -> Any:
        """Answer from the cache, or call the model.

        Args:
            prompt: the question.
            llm_func: sync or async, called as ``llm_func(prompt, **kwargs)``; None calls the provider's own
                SDK with the model and these keywords, and returns the answer's text. It counts by name, code,
                defaults and what it closes over; a method also by what its instance holds.
            kwargs: for the model; all must be equal for an answer to be served.

        Raises:
            Whatever the call raises; `PromptCacheError` when the provider's SDK is not installed;
            `CacheKeyError` when `llm_func` or a keyword holds something without a stable fingerprint.
        """
        settings, request = self._prepare(prompt, llm_func, kwargs)
        call = self._caller(prompt, llm_func, kwargs, is_async=True)
        return await self.engine.get_or_call(request, call, settings=settings)

    def chat(self, prompt: str, llm_func: Callable[..., Any] | None = None, **kwargs: Any) -> Any:
        """Do `achat` for plain code. An async `llm_func` runs on the cache's background loop."""
        settings, request = self._prepare(prompt, llm_func, kwargs)
        call = self._caller(prompt, llm_func, kwargs, is_async=False)

        def run() -> Any:
            value = call()
            return background.run(maybe_await(value)) if inspect.isawaitable(value) else value

        return self.engine.get_or_call_blocking(request, run, settings=settings)

    def _prepare(
        self, prompt: str, llm_func: Callable[..., Any] | None, kwargs: dict[str, Any]
    ) -> tuple[CallSettings, Request]:
        forget()
        if not isinstance(prompt, str):
            raise TypeError(f"prompt must be a string, not {type(prompt).__name__}")
        if llm_func is not None and not callable(llm_func):
            raise TypeError(f"llm_func={llm_func!r} must be callable")
        settings, namespace = current(self.engine, self.engine.settings())
        scope = {
            "door": "CachedLLM",
            "provider": self.provider,
            "model": self.model,
            "arguments": {name: canonical(value, f"argument {name!r} of chat()") for name, value in kwargs.items()},
            "within": self.engine.namespace if namespace else None,
            "by": _environment(self.provider) if llm_func is None else self._functions.of(llm_func),
        }
        request = Request(namespace or self.engine.namespace, scope, prompt)
        return settings, self.engine.fitted(request)

    def _caller(
        self, prompt: str, llm_func: Callable[..., Any] | None, kwargs: dict[str, Any], *, is_async: bool
    ) -> Callable[[], Any]:
        if llm_func is not None:
            return lambda: llm_func(prompt, **kwargs)
        known = PROVIDERS.get(self.provider)
        if known is None:
            return self._no_client
        options = _question(self.model, prompt, kwargs)
        return lambda: known.acall(options) if is_async else known.call(options)

    def _no_client(self) -> Any:
        raise PromptCacheError(f"{unknown('provider', self.provider, PROVIDERS)}. For another one pass llm_func=")


_VARIABLES = {"openai": "OPENAI_", "anthropic": "ANTHROPIC_", "ollama": "OLLAMA_"}
"""Prefixes of the variables that an SDK reads: credentials, addresses, organisation, project."""


def _environment(provider: str) -> str | None:
    """Return a keyed hash of what an SDK reads from the environment at each call, or None without an SDK."""
    prefix = _VARIABLES.get(provider)
    if prefix is None:
        return None
    read = {name: value for name, value in os.environ.items() if name.startswith(prefix) or name in PROXY_VARIABLES}
    return secret_hash(canonical(read))


def _question(model: str, prompt: str, kwargs: dict[str, Any]) -> dict[str, Any]:
    return dict(model=model, messages=[{"role": "user", "content": prompt}], **kwargs)
