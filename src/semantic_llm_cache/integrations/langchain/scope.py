"""What of a LangChain call counts: messages, keywords, and all that the model holds.

Whatever is not in a table of neutral names here counts. The tables are printed in ``docs/keys.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage

from semantic_llm_cache.exceptions import CacheKeyError
from semantic_llm_cache.integrations._door import form_of
from semantic_llm_cache.integrations.langchain.stored import NOTE
from semantic_llm_cache.keys.fingerprint import canonical
from semantic_llm_cache.keys.object_forms import write_name
from semantic_llm_cache.keys.secret_hashes import secret_hash
from semantic_llm_cache.keys.walk import FIELD_ADVICE, Walk
from semantic_llm_cache.values.introspection import held_fields

__all__ = ["KEYWORDS", "MESSAGES", "MODEL", "ROLES", "form_of_model", "scope_of", "turns_of"]

_WAIT = "how long, and how often, the SDK tries; not what it asks"
_TRAVEL = "whether the answer comes in pieces; a stream and a whole answer share an entry"

MODEL: dict[str, str] = {
    "callbacks": "who is told of a call",
    "verbose": "how much is printed",
    "name": "name in traces",
    "cache": "LangChain's own cache, which a `CachedChatModel` replaces",
    "rate_limiter": "when a call is made",
    "custom_get_token_ids": "counts tokens outside of a call",
    "profile": "what LangChain's tables say of the model",
    "disable_streaming": _TRAVEL,
    "streaming": _TRAVEL,
    "request_timeout": _WAIT,
    "default_request_timeout": _WAIT,
    "timeout": _WAIT,
    "max_retries": _WAIT,
    "_serialized": "LangChain's description of the model, made of the rest",
}
"""What a model holds and is left out. Whatever else it holds counts."""

KEYWORDS: dict[str, str] = {"stream": _TRAVEL}
"""Keywords of a call that are left out."""

MESSAGES: dict[str, str] = {
    "id": "LangChain's or the provider's id of a message; what it says counts",
    "usage_metadata": "how many tokens an earlier answer took",
    "artifact": "what a tool keeps from the model",
}
"""Fields of a message that are left out; and what this cache itself wrote into an answer's `response_metadata`."""

ROLES = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool", "function": "function"}


def scope_of(model: BaseChatModel, keywords: dict[str, Any], scoped: bool) -> dict[str, Any]:
    """Return what must be equal beside the messages, as keyed hashes: it may hold credentials.

    Args:
        model: the one that is wrapped.
        keywords: of this call, bound ones such as tools included.
        scoped: whether the cache's own `scope` names the caller. A model that has no stable form then counts by its
            class and by what LangChain calls its identifying parameters.

    Raises:
        CacheKeyError: naming what has no stable form.
    """
    try:
        held = form_of_model(model)
    except CacheKeyError as error:
        if not scoped:
            raise CacheKeyError(f"{error}; or name with scope= what tells two callers apart") from None
        held = secret_hash(_class_of(model) + form_of(dict(model._identifying_params), "the model's parameters"))
    counting = {name: value for name, value in keywords.items() if name not in KEYWORDS and value is not None}
    return {"model": held, "keywords": secret_hash(form_of(counting, "keywords"))}


def form_of_model(model: BaseChatModel) -> str:
    """Return a keyed hash of all that a model holds.

    Raises:
        CacheKeyError: naming what has no stable form.
    """
    return secret_hash(canonical(_held(model)))


def _held(model: BaseChatModel) -> dict[str, Any]:
    """Return all that a model holds: its fields, its clients, other models in it."""
    found: dict[str, Any] = {"class": _class_of(model)}
    if hasattr(type(model), "__cache_scope__"):
        return {**found, "scope": form_of(model, type(model).__name__)}
    state = held_fields(model)
    for part in ("__pydantic_extra__", "__pydantic_private__"):
        state.update(getattr(model, part, None) or {})
    for name, value in state.items():
        if name in MODEL:
            continue
        if isinstance(value, BaseChatModel):
            found[f"field {name}"] = _held(value)
        elif isinstance(value, (list, tuple)) and any(isinstance(item, BaseChatModel) for item in value):
            found[f"field {name}"] = [
                _held(item) if isinstance(item, BaseChatModel) else form_of(item, name) for item in value
            ]
        else:
            found[f"field {name}"] = form_of(value, f"{type(model).__name__}.{name}")
    return found


def _class_of(model: BaseChatModel) -> bytes:
    out: list[bytes] = []
    write_name(type(model), out, type(model).__name__, 0, Walk(True, FIELD_ADVICE))
    return b"".join(out)


def turns_of(messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
    """Return messages as turns of a role, with all of their fields that count."""
    return [_turn(message) for message in messages]


def _turn(message: BaseMessage) -> dict[str, Any]:
    fields = {name: value for name, value in message.model_dump().items() if name not in MESSAGES and name != "type"}
    said = fields.pop("response_metadata", None) or {}
    kept = {name: value for name, value in said.items() if name != NOTE}
    kind = message.type.removesuffix("MessageChunk").lower()  # a chunk in a history is a message like any other
    role = fields.pop("role", None) or ROLES.get(kind, kind)
    return {"role": str(role), **fields, "kind": message.type, **({"said": kept} if kept else {})}
