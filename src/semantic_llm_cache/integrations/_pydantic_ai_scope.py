"""What of a pydantic-ai call counts: messages, settings, parameters, and all that the model and its client hold.

Whatever is not in a table of neutral names here counts. The tables are printed in ``docs/keys.md``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter
from pydantic_ai.messages import ModelMessage, ModelMessagesTypeAdapter
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.providers import Provider

from semantic_llm_cache.exceptions import CacheKeyError
from semantic_llm_cache.integrations._door import form_of
from semantic_llm_cache.keys.fingerprint import canonical
from semantic_llm_cache.keys.secret_hashes import secret_hash
from semantic_llm_cache.values.introspection import held_fields
from semantic_llm_cache.wire.neutral import CREDENTIALS

__all__ = ["MESSAGES", "MODEL", "PARAMETERS", "SETTINGS", "form_of_model", "scope_of", "turns_of"]

_WAIT = "how long, and how often, the SDK tries; not what it asks"

SETTINGS: dict[str, str] = {
    "timeout": _WAIT,
    "request_timeout": _WAIT,
    "first_event_timeout": _WAIT,
    "max_retries": _WAIT,
}
"""Model settings that are left out."""

PARAMETERS: dict[str, str] = {
    "_telemetry_mcp_url_ids": "names that traces mask",
    "_telemetry_mcp_url_toolset_ids": "names that traces mask",
    "_telemetry_mcp_url_tool_names": "names that traces mask",
}
"""Fields of ``ModelRequestParameters`` that are left out."""

MESSAGES: dict[str, str] = {
    "timestamp": "when a message or part was made",
    "run_id": "id of one run of an agent",
    "conversation_id": "id of a conversation; what was said in it counts",
    "usage": "how many tokens an earlier answer took",
}
"""Fields of a message, and of its parts, that are left out; not those of what a part holds."""

MODEL: dict[str, str] = {
    "instrumentation_settings": "how calls are traced",
    "_limiter": "how many calls run at once",
    "last_model_request_parameters": "what a TestModel was last asked",
    "_own_http_client": "the HTTP client, which the provider's client holds too",
    "_http_client_factory": "makes another HTTP client when the last one was closed",
}
"""What a model, a wrapper or a provider holds and is left out. Whatever else it holds counts."""

_CALLABLE_KEYS = ("_api_key_provider", "_azure_ad_token_provider")
_PUBLIC = ("base_url", "organization", "project", "workspace_id", "api_version", "_api_version")
_PARAMETERS = TypeAdapter(ModelRequestParameters)


def scope_of(
    model: Model, settings: Any, parameters: ModelRequestParameters, share_across_keys: bool, scoped: bool
) -> dict[str, Any]:
    """Return what must be equal beside the messages; what may hold a credential as a keyed hash.

    Args:
        model: the one that is wrapped.
        settings: of this call.
        parameters: of this call.
        share_across_keys: leave credentials out.
        scoped: whether the cache's own `scope` names the caller: then a model or a client that has no stable form
            counts by its name and address only.

    Raises:
        CacheKeyError: naming what has no stable form.
    """
    try:
        held: Any = _held(model, share_across_keys)
    except CacheKeyError as error:
        if not scoped:
            raise CacheKeyError(f"{error}; or name with scope= what tells two callers apart") from None
        held = None
    given = [_counting(model.settings), _counting(settings)]
    return {
        "model": model.model_id,
        "base_url": model.base_url,
        "held": secret_hash(canonical(held)),
        "settings": secret_hash(form_of(given, "model_settings")),
        "parameters": _parameters(parameters),
    }


def _counting(settings: Any) -> dict[str, Any]:
    return {name: value for name, value in dict(settings or {}).items() if name not in SETTINGS}


def _parameters(parameters: ModelRequestParameters) -> Any:
    dumped = _PARAMETERS.dump_python(parameters)
    for field in dataclasses.fields(parameters):
        if field.name not in dumped and field.name not in PARAMETERS:  # which pydantic leaves out of a dump
            dumped[field.name] = getattr(parameters, field.name)
    return form_of(dumped, "model_request_parameters")


def form_of_model(model: Model) -> str:
    """Return a keyed hash of all that a model holds.

    Raises:
        CacheKeyError: naming what has no stable form.
    """
    return secret_hash(canonical(_held(model, share_across_keys=False)))


def _held(thing: Any, share_across_keys: bool) -> Any:
    """Return all that a model or a provider holds: other models, their providers, and their clients."""
    found: dict[str, Any] = {"type": type(thing)}
    for name, value in held_fields(thing).items():
        if name in MODEL:
            continue
        if isinstance(value, (Model, Provider)):
            found[name] = _held(value, share_across_keys)
        elif isinstance(value, (list, tuple)) and any(isinstance(item, Model) for item in value):
            found[name] = [_held(item, share_across_keys) for item in value]
        elif isinstance(thing, Provider) and name == "_client":
            found[name] = _public(value) if share_across_keys else _client(value)
        elif not (isinstance(thing, Provider) and share_across_keys and name == "_api_key"):
            found[name] = form_of(value, f"{type(thing).__name__}.{name}")
    return found


def _client(client: Any) -> list[Any]:
    keys = [getattr(client, name, None) for name in _CALLABLE_KEYS]
    return [
        form_of(client, "the provider's client"),
        *(None if key is None else form_of(key, "api_key") for key in keys),
    ]


def _public(client: Any) -> dict[str, Any]:
    """Return what counts of an SDK's client beside its credential.

    Raises:
        CacheKeyError: a client of which that is not known.
    """
    if not hasattr(client, "base_url") or not hasattr(client, "_custom_headers"):
        raise CacheKeyError(
            f"what of a {type(client).__qualname__} is its credential is not known: leave share_across_keys= out"
        )
    found: dict[str, Any] = {name: str(getattr(client, name)) for name in _PUBLIC if getattr(client, name, None)}
    headers: Mapping[str, Any] = client._custom_headers
    found["headers"] = {name.lower(): str(value) for name, value in headers.items() if name.lower() not in CREDENTIALS}
    found["query"] = {name: str(value) for name, value in dict(getattr(client, "_custom_query", {})).items()}
    return found


def turns_of(messages: list[ModelMessage]) -> list[dict[str, Any]]:
    """Return messages as turns of a role: one for each part, so that the last user prompt is a turn of its own."""
    turns: list[dict[str, Any]] = []
    for message in ModelMessagesTypeAdapter.dump_python(messages, mode="json"):
        head = {name: value for name, value in _lasting(message).items() if name != "parts"}
        if head.get("kind") == "response":
            turns.append({"role": "assistant", **head, "content": [_lasting(part) for part in message["parts"]]})
            continue
        for part in map(_lasting, message["parts"]):
            role = {"user-prompt": "user", "system-prompt": "system"}.get(str(part.get("part_kind")), "part")
            # Instructions are in the head of the message that they came with.
            turns.append({"role": role, **part, **({} if role == "system" else {"head": head})})
    return turns


def _lasting(value: Mapping[str, Any]) -> dict[str, Any]:
    return {name: item for name, item in value.items() if name not in MESSAGES}
