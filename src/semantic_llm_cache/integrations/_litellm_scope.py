"""What of a LiteLLM call counts: its keywords, LiteLLM's own settings, and the environment it takes keys from.

Whatever is not in a table of neutral names here counts. The tables are printed in ``docs/keys.md``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

from semantic_llm_cache.exceptions import CacheKeyError
from semantic_llm_cache.integrations._door import form_of
from semantic_llm_cache.keys.fingerprint import canonical, digest
from semantic_llm_cache.keys.secret_hashes import secret_hash

__all__ = ["CACHE", "CREDENTIALS", "ENVIRONMENT", "KEYWORDS", "METADATA", "SETTINGS", "WORDS", "digest_of"]

_WAIT = "how long, and how often, LiteLLM tries; not what it asks"

KEYWORDS: dict[str, str] = {
    "caching": "whether the cache is asked",
    "litellm_call_id": "id of one call, new for each",
    "litellm_trace_id": "id of a trace",
    "litellm_logging_obj": "LiteLLM's log of this one call",
    "parent_otel_span": "place of one call in a trace",
    "dynamic_cache_object": "LiteLLM's own second cache",
    "logger_fn": "is told of the call, and changes nothing of it",
    "verbose": "how much is logged",
    "no-log": "whether the call is logged",
    "timeout": _WAIT,
    "request_timeout": _WAIT,
    "stream_timeout": _WAIT,
    "force_timeout": _WAIT,
    "num_retries": _WAIT,
    "max_retries": _WAIT,
}
"""Keywords of a call that are left out."""

METADATA: dict[str, str] = {
    "llm_api_timing_windows": "written by LiteLLM after the answer: how long it took",
    "hidden_params": "written by LiteLLM after the answer: headers and cost of it",
    "semantic-similarity": "written by this cache",
}
"""Fields of ``metadata`` that are left out."""

CACHE: dict[str, str] = {
    "ttl": "how long the answer is kept",
    "s-maxage": "oldest answer that is taken",
    "s-max-age": "oldest answer that is taken",
    "no-cache": "whether the cache may answer",
    "no-store": "whether the answer is stored",
    "use-cache": "whether the cache is asked",
}
"""Fields of the keyword ``cache`` that are left out."""

CREDENTIALS: dict[str, str] = {
    "api_key": "the provider's key",
    "azure_ad_token": "Azure's key",
    "aws_access_key_id": "AWS's key",
    "aws_secret_access_key": "AWS's key",
    "aws_session_token": "AWS's key",
    "vertex_credentials": "Google's key",
    "vertex_ai_credentials": "Google's key",
}
"""Keywords that `share_across_keys` leaves out."""

SETTINGS: dict[str, str] = {
    "cache": "this cache itself",
    "_current_cost": "what calls have cost so far",
    "_async_client_cleanup_registered": "whether LiteLLM has registered its own end",
    "set_verbose": "how much is logged",
    "suppress_debug_info": "how much is logged",
    "log_level": "how much is logged",
    "json_logs": "how logs are written",
}
"""Settings of the module ``litellm`` that are left out, of those that hold a text, a number, a flag or None."""

_PLAIN = (str, int, float, bool)
_OBJECTS = (
    "client_session", "aclient_session", "secret_manager_client", "headers",
    "credential_list", "model_alias_map", "custom_prompt_dict", "custom_provider_map",
    "prompt_name_config_map", "guardrail_name_config_map", "pre_call_rules",
)  # fmt: skip
"""Further settings that count. LiteLLM's other lists and dicts are its tables of models and its loggers."""

_SECRET = ("KEY", "TOKEN", "SECRET", "PASS", "CRED", "AUTH", "CERT")
WORDS: tuple[str, ...] = (
    *_SECRET, "API", "BASE", "URL", "URI", "ENDPOINT", "HOST", "ORG", "PROJECT", "TENANT", "ACCOUNT", "REGION",
    "LOCATION", "PROFILE", "ROLE", "SPACE", "CLIENT", "PROXY", "CONFIG", "USERNAME",
    "AWS", "AZURE", "GOOGLE", "VERTEX", "LITELLM",
)  # fmt: skip
"""A variable of the environment counts when its name holds one of these."""

ENVIRONMENT: dict[str, str] = {
    "HOSTNAME": "name of this machine or container",
    "SSH_AUTH_SOCK": "where a login's agent listens",
    "SSH_CLIENT": "where a login came from",
    "XAUTHORITY": "file of a login's display",
    "TIKTOKEN_CACHE_DIR": "where LiteLLM keeps tables of its tokenizer; it sets this itself",
}
"""Variables that are left out all the same."""

_AMBIENT = frozenset(
    {"bedrock", "bedrock_converse", "bedrock_mantle", "sagemaker", "sagemaker_chat", "sagemaker_nova", "vertex_ai",
     "vertex_ai_beta", "github_copilot", "chatgpt", "oci", "databricks"}
)  # fmt: skip
"""Providers whose key LiteLLM takes from files, an instance's role or a login, where nothing names one."""
_NAMED = (
    "api_key", "client", "aws_access_key_id", "aws_session_token", "aws_profile_name", "aws_role_name",
    "aws_web_identity_token", "aws_bearer_token", "vertex_credentials", "vertex_ai_credentials", "oci_key",
)  # fmt: skip
_NAMED_OUTSIDE = (
    "AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_ROLE_ARN", "AWS_BEARER_TOKEN_BEDROCK", "GOOGLE_APPLICATION_CREDENTIALS",
    "VERTEXAI_CREDENTIALS", "VERTEX_CREDENTIALS", "DATABRICKS_API_KEY",
)  # fmt: skip


def digest_of(litellm: ModuleType, kwargs: Mapping[str, Any], share_across_keys: bool, scoped: bool) -> str:
    """Return the digest of all that counts of a call but its messages.

    Args:
        litellm: the module.
        kwargs: keywords of the call, positional arguments included.
        share_across_keys: leave credentials out.
        scoped: whether the cache's own `scope` names the caller.

    Raises:
        CacheKeyError: a value that has no stable form, or a credential that is not visible here.
    """
    if not (share_across_keys or scoped):
        _check_credential(litellm, kwargs)
    # Each part may hold a credential, and what is kept of it is a keyed hash.
    parts = {
        "keywords": {name: form_of(value, name) for name, value in _keywords(kwargs, share_across_keys)},
        "settings": _settings(litellm, share_across_keys),
        "environment": _environment(share_across_keys),
    }
    return digest("litellm", secret_hash(canonical(parts)))


def _keywords(kwargs: Mapping[str, Any], share_across_keys: bool) -> Iterator[tuple[str, Any]]:
    for name, value in kwargs.items():
        if name in KEYWORDS or (name == "messages" and isinstance(value, list)) or name == "cache_key":
            continue  # messages are text and scope of their own, and whoever calls this counts a chosen key
        if share_across_keys and name in CREDENTIALS:
            continue
        if name in ("metadata", "cache") and isinstance(value, Mapping):
            left_out = METADATA if name == "metadata" else CACHE
            value = {key: item for key, item in value.items() if key not in left_out}
        if name in ("metadata", "cache") and not value:
            continue  # LiteLLM itself adds and takes off empty ones
        yield name, value


def _settings(litellm: ModuleType, share_across_keys: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in vars(litellm).items():
        if name.startswith("__") or name in SETTINGS or (share_across_keys and _has(name.upper(), _SECRET)):
            continue
        if value is None or type(value) in _PLAIN:
            found[name] = value
        elif name in _OBJECTS or isinstance(value, _PLAIN):
            found[name] = form_of(value, f"litellm.{name}")
    return found


def _environment(share_across_keys: bool) -> list[str]:
    found = []
    for name, value in os.environ.items():
        upper = name.upper()
        if upper in ENVIRONMENT or not _has(upper, WORDS) or (share_across_keys and _has(upper, _SECRET)):
            continue
        found.append(f"{name}={value}")
    return sorted(found)


def _has(name: str, words: tuple[str, ...]) -> bool:
    return any(word in name for word in words)


def _check_credential(litellm: ModuleType, kwargs: Mapping[str, Any]) -> None:
    """Raise CacheKeyError where LiteLLM takes a credential from a place that is not visible here."""
    if any(kwargs.get(name) for name in _NAMED) or any(name in os.environ for name in _NAMED_OUTSIDE):
        return
    provider = kwargs.get("custom_llm_provider")
    if provider is None:
        try:
            provider = litellm.get_llm_provider(model=kwargs["model"], api_base=kwargs.get("api_base"))[1]
        except Exception as error:
            raise CacheKeyError(
                f"the provider is not known ({type(error).__name__}): name the caller with scope="
            ) from None
    if provider in _AMBIENT:
        raise CacheKeyError(f"the credential for {provider} comes from a file or a role: name the caller with scope=")
