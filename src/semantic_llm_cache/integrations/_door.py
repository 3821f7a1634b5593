"""What the doors of frameworks have in common: an engine, options of a door, and requests made of messages."""

from __future__ import annotations

import functools
import re
import types
from collections.abc import Callable, Mapping
from typing import Any

from semantic_llm_cache.calls.control import NOT_CACHED
from semantic_llm_cache.calls.refusals import because, quoted
from semantic_llm_cache.calls.settings import CallSettings, current
from semantic_llm_cache.engine.engine import Engine
from semantic_llm_cache.engine.options import ENGINE_OPTIONS, refuse_unknown
from semantic_llm_cache.exceptions import CacheKeyError, CacheNotFoundError, PromptCacheError
from semantic_llm_cache.keys.fingerprint import canonical, fingerprint_instance
from semantic_llm_cache.keys.request import Request
from semantic_llm_cache.storage.key_check import require_key
from semantic_llm_cache.wire.checks import ToolCalls, check_tool_calls
from semantic_llm_cache.wire.turns import check_history, last_turn

__all__ = ["Door", "check_names", "cut_short", "finish_refusal", "form_of"]

_OWN = ("cache", "history", "tool_calls", "scope")
_WHOLE = frozenset(
    {"stop", "end_turn", "stop_sequence", "eos", "eos_token", "completed", "complete", "tool_calls", "tool_call"}
)
_WHOLE_TOO = frozenset({"tool_use", "function_call"})


_REASONS = {
    "length": "truncated",
    "max_tokens": "truncated",
    "max_output_tokens": "truncated",
    "content_filter": "filtered",
    "refusal": "refusal",
}
_KEYS = re.compile(r"\[.*\]", re.DOTALL)
_FUNCTIONS = (types.FunctionType, types.MethodType, types.BuiltinFunctionType, functools.partial, type)


def form_of(value: Any, name: str) -> bytes:
    """Return the canonical form of a value; of an object, such as a client, that of all it holds.

    Raises:
        CacheKeyError: naming what has no stable form.
    """
    try:
        return canonical(value, name)
    except CacheKeyError:
        kind = type(value)
        holds = hasattr(value, "__dict__") or any("__slots__" in vars(base) for base in kind.__mro__)
        if isinstance(value, _FUNCTIONS) or not holds:
            raise
        return fingerprint_instance(value, name)


def cut_short(finish: Any) -> bool:
    """Return whether a finish reason, where there is one, says that the answer is not complete."""
    return isinstance(finish, str) and finish.lower() not in _WHOLE | _WHOLE_TOO


def check_names(options: Mapping[str, Any], *own: str) -> None:
    """Raise TypeError for an option that is none of a door, of the engine, or of a framework's `own` door."""
    refuse_unknown(options, (*_OWN, *own, *ENGINE_OPTIONS))


def finish_refusal(finish: Any) -> str:
    """Return why an answer with this finish reason must not be stored, ``""`` where it may be, as `because` makes it.

    Example:
        >>> finish_refusal("stop"), finish_refusal("length")
        ('', "truncated: finish reason 'length'")
    """
    if not cut_short(finish):
        return ""
    word = _REASONS.get(finish.lower(), "finish")
    return because(word, f"finish reason {quoted(finish)}")


class Door:
    """An engine and how its requests are made.

    Args:
        name: of the framework: part of the scope, and the tag of all entries.
        cache: the engine; None makes one from `options`.
        history, tool_calls, scope: as in `WireCache`.
        options: of `SemanticCache`; with `cache`, those in which this door differs.

    Raises:
        ValueError, TypeError: naming the argument.
    """

    def __init__(
        self,
        name: str,
        cache: Engine | None,
        *,
        history: str,
        tool_calls: ToolCalls,
        scope: Mapping[str, Any] | Callable[[], Any] | None,
        options: Mapping[str, Any],
    ) -> None:
        self.name = name
        self.window = check_history(history)
        self.tool_calls = check_tool_calls(tool_calls)
        self.scope = scope
        self.engine = Engine.of_door(cache, options, also=_OWN)

    def __cache_scope__(self) -> dict[str, Any]:
        """As a field of an instance whose method is cached: what decides who shares its answers, not the engine."""
        return {
            "window": self.window,
            "tool_calls": self.tool_calls,
            "scope": self.scope() if callable(self.scope) else self.scope,
            "namespace": self.engine.namespace,
        }

    def settings(self) -> tuple[CallSettings, str | None]:
        """Return the settings of a call made now, and the namespace of a context if one names it."""
        return current(self.engine, self.engine.settings(own_tags=(self.name,)))

    def bypass(self, error: Exception) -> None:
        """Log, once for each reason, that a call bypasses the cache."""
        # Names of keys, and messages of other errors, may hold what was asked.
        reason = _KEYS.sub("[...]", str(error)) if isinstance(error, PromptCacheError) else type(error).__name__
        self.engine.log_once(f"{self.name} {reason}", f"a call bypasses the cache: {reason}")

    def refused(self, reason: str) -> None:
        """Log, once per kind of reason, that an answer is not stored; ``""`` is none."""
        self.engine.notices.refused(reason)

    def may_call(self, settings: CallSettings, reason: str) -> None:
        """Let a call that found no answer go on to the model.

        Raises:
            CacheNotFoundError: only what is in the cache was asked for.
        """
        if settings.enabled and not settings.asks.may_call:
            raise CacheNotFoundError(f"{NOT_CACHED}: {reason}")

    def request(self, messages: Any, scope: Any, namespace: str | None = None) -> Request:
        """Return the request that messages (dicts with a role and a content), or a plain text, make.

        Raises:
            CacheKeyError: no messages, a `scope=` that raised, or something in the scope without a stable form.
        """
        text, rest = (messages, None) if isinstance(messages, str) else last_turn(messages, self.window)
        whole = {"door": self.name, "messages": rest, "scope": scope, "more": self._scope_given()}
        if namespace:
            whole["within"] = self.engine.namespace
        return self.engine.fitted(Request(namespace or self.engine.namespace, whole, text))

    def _scope_given(self) -> Any:
        try:
            return self.scope() if callable(self.scope) else self.scope
        except Exception as error:  # its message may hold a secret
            raise CacheKeyError(f"scope= raised {type(error).__name__}") from None

    async def clear(self) -> int:
        """Remove the entries made through doors of this name; return how many."""
        return await (await require_key(self.engine.backend)).invalidate(tags=[self.name])
