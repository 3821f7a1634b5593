"""The options of the server, each defined once. `loading` reads them from flags, the environment and a TOML file."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from semantic_llm_cache.engine.options import ENGINE_OPTIONS
from semantic_llm_cache.server.proxy.doors import UNRULED
from semantic_llm_cache.server.proxy.headers import CREDENTIALS, UNUSABLE
from semantic_llm_cache.server.proxy.routing import DEFAULT
from semantic_llm_cache.storage.registry import backend_from_url
from semantic_llm_cache.wire.checks import check_temperature
from semantic_llm_cache.wire.formats import FORMATS
from semantic_llm_cache.wire.scoping import check_neutral_headers
from semantic_llm_cache.wire.turns import check_history

__all__ = ["CacheSettings", "RuleSettings", "Settings", "TenantSettings", "UpstreamSettings"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEADER = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
ROUTES = tuple(known.name for known in FORMATS)

RESERVED = frozenset({"admin", "dashboard", "healthz", "metrics"})
"""First parts of the paths of the server's own."""

Span = float | str | None

_CHECKS: dict[str, Callable[[Any], Any]] = {
    "history": check_history,
    "max_temperature": check_temperature,
    "neutral_headers": check_neutral_headers,
}
_SPANS = frozenset({"ttl", "stale_while_revalidate", "stale_if_error"})


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class CacheSettings(_Model):
    """How requests are answered from the cache. A key that is not given keeps its default."""

    enabled: bool = Field(True, description="False passes all requests through.")
    similarity: float = Field(1.0, description="Cosine at which a near prompt counts as the same; 1: equal text only.")
    ttl: Span = Field(3600.0, description='How long an answer is served: seconds, or text such as "1h30m".')
    guards: list[str] | None = Field(None, description="Names of the rules that refuse near hits; not given: all.")
    max_error: float | None = Field(None, description="Error budget: most wrong answers, as a share of all requests.")
    max_error_per_hit: float | None = Field(None, description="Error budget: most wrong answers, as a share of hits.")
    mode: Literal["serve", "shadow"] = Field("serve", description='"shadow": always call, and record what would be.')
    single_flight: Literal["process", "shared"] = Field("process", description="Who shares one call in flight.")
    stale_while_revalidate: Span = Field(None, description="How long past its TTL an answer is served and refreshed.")
    stale_if_error: Span = Field(None, description="How long past its TTL an answer is served if the upstream fails.")
    jitter: float = Field(0.0, description="Largest share of the TTL by which it is shortened at random.")
    timeout: float | None = Field(1.0, description="Seconds that each storage operation or embedding may take.")
    max_prompt: int = Field(1_000_000, description="Longest prompt that is stored, in characters.")
    max_response: int = Field(1_000_000, description="Longest answer that is stored, in characters.")
    namespace: str = Field("default", description="Groups the entries.")
    history: str = Field("exact", description='How much of a conversation counts: "exact", or "window:2".')
    tool_calls: Literal["bypass", "cache"] = Field("bypass", description="Whether answers that call tools are stored.")
    max_temperature: float | None = Field(None, description="Requests with a higher temperature bypass the cache.")
    share_across_keys: bool = Field(False, description="Whether callers with different keys share answers.")
    ignore: list[str] = Field([], description="Fields of the body that do not count.")
    neutral_headers: list[str] = Field([], description="Headers that do not count.")
    replay_delay: float | None = Field(None, ge=0, description="Seconds between the events of a replayed stream.")

    @field_validator(*sorted(_SPANS), mode="before", check_fields=False)
    @classmethod
    def _span(cls, value: Any) -> Any:
        if isinstance(value, str) and value.strip().replace(".", "", 1).isdigit():
            return float(value)
        return value

    @field_validator("*", mode="after")
    @classmethod
    def _as_the_engine_has_it(cls, value: Any, info: ValidationInfo) -> Any:
        name = info.field_name or ""
        option = ENGINE_OPTIONS.get(name)
        try:
            if name == "guards":
                _check_guards(value)
            elif name in _CHECKS:
                _CHECKS[name](value)
            elif option is not None and name in CacheSettings.model_fields:
                option.check(value, name)
        except TypeError as error:
            raise ValueError(str(error)) from None
        return value

    def options(self) -> dict[str, Any]:
        """Return the options of `WireCache` that are given."""
        return {name: getattr(self, name) for name in CacheSettings.model_fields if name in self.model_fields_set}


def _check_guards(value: list[str] | None) -> None:
    from semantic_llm_cache.matching.guards import resolve_guards

    resolve_guards(value)


class UpstreamSettings(_Model):
    """Where requests are passed to."""

    url: str = Field(description="http or https, with the path that comes before all paths: https://api.openai.com/v1.")
    key_env: str | None = Field(
        None, description="Environment variable with the server's key, sent in place of the caller's."
    )
    key_header: str = Field("authorization", description='Header for that key; "x-api-key" for Anthropic.')

    @field_validator("url")
    @classmethod
    def _url(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
            port = parts.port
        except ValueError:
            raise ValueError("must be a URL such as https://api.openai.com/v1") from None
        if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
            raise ValueError("must be a URL that begins with http:// or https://, such as https://api.openai.com/v1")
        if "@" in parts.netloc:
            raise ValueError("must hold no user or password: put the key into a variable, and name that as key_env")
        if parts.query or parts.fragment:
            raise ValueError("must end with its path: no ? and no #")
        if not re.fullmatch(r"[\x21-\x7e]+", value):
            raise ValueError("must be ASCII without spaces")
        return value

    @field_validator("key_env")
    @classmethod
    def _variable(cls, value: str | None) -> str | None:
        if value is not None and not _VARIABLE.fullmatch(value):
            raise ValueError("must be the name of an environment variable, such as OPENAI_API_KEY, not a key")
        return value

    @field_validator("key_header")
    @classmethod
    def _header(cls, value: str) -> str:
        return _checked_header(value)


class TenantSettings(_Model):
    """A tenant: callers that share answers, by the hashes of their keys."""

    keys_sha256: list[str] = Field(min_length=1, description="SHA-256 of each key, in hex: printf %s KEY | sha256sum.")

    @field_validator("keys_sha256")
    @classmethod
    def _digests(cls, value: list[str]) -> list[str]:
        if not all(_SHA256.fullmatch(digest) for digest in value):
            raise ValueError("must be SHA-256 digests of 64 hex digits, not the keys themselves")
        return value


class RuleSettings(CacheSettings):
    """Other cache settings for some requests. Patterns may hold ``*``."""

    name: str = Field(description="Of the rule.")
    upstream: str | None = Field(None, description="Pattern of the upstream's name.")
    route: str | None = Field(None, description=f"Pattern of what is called: {', '.join(ROUTES)}.")
    model: str | None = Field(None, description='Pattern of the model: "gpt-4*".')
    tenant: str | None = Field(None, description="Pattern of the tenant.")

    @field_validator("name")
    @classmethod
    def _named(cls, value: str) -> str:
        if value == UNRULED:
            raise ValueError(f"the name {value!r} is taken: it stands for the requests that match no rule")
        return _checked_name(value)

    @model_validator(mode="after")
    def _says_something(self) -> RuleSettings:
        if not self.match:
            raise ValueError("a rule needs one of upstream, route, model and tenant: to say which requests it is for")
        return self

    @property
    def match(self) -> dict[str, str]:
        """The patterns, by what they are compared with."""
        given = {"upstream": self.upstream, "route": self.route, "model": self.model, "tenant": self.tenant}
        return {part: pattern for part, pattern in given.items() if pattern is not None}


class Settings(CacheSettings):
    """All options of the server.

    Example:
        >>> Settings(upstream="https://api.openai.com/v1").upstream["default"].url
        'https://api.openai.com/v1'
    """

    upstream: dict[str, UpstreamSettings] = Field(description="Where requests go: a URL, or URLs by name.")
    url: str | None = Field(None, repr=False, description="Of the backend: redis://..., sqlite:///cache.db, memory://.")
    embedder: str | None = Field(None, description='Name of the embedder, such as "onnx:int8"; not given: "auto".')
    host: str = Field("127.0.0.1", description="Address to listen at.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen at; 0 takes a free one.")
    workers: int = Field(1, ge=1, le=256, description="Processes that serve.")
    tenant_header: str = Field("", description="Header in which a trusted proxy names the tenant.")
    trusted_proxies: list[str] = Field([], description="Addresses or networks of those proxies.")
    only_known_tenants: bool = Field(False, description="Refuse all callers that are not listed as tenants.")
    tenants: dict[str, TenantSettings] = Field({}, description="Tenants by name.")
    rules: list[RuleSettings] = Field([], description="Other cache settings for some requests; later ones prevail.")
    max_body: int = Field(32 << 20, ge=1, description="Bytes of the body of a model call.")
    max_upload: int = Field(1 << 30, ge=1, description="Bytes of any other body.")
    max_headers: int = Field(16 << 10, ge=1024, le=1 << 20, description="Bytes of a request's headers together.")
    max_connections: int = Field(10_000, ge=1, description="Connections of one worker; more get status 503.")
    header_timeout: float = Field(10.0, gt=0, description="Seconds for the headers of a request to arrive.")
    body_timeout: float = Field(
        60.0, gt=0, description="Seconds for a body, or for each piece of an upload, to arrive."
    )
    client_timeout: float = Field(60.0, gt=0, description="Seconds for a client to read anything of its answer.")
    connect_timeout: float = Field(10.0, gt=0, description="Seconds to open a connection to an upstream.")
    read_timeout: float = Field(600.0, gt=0, description="Seconds between two pieces of an upstream's answer.")
    keep_alive: float = Field(75.0, gt=0, description="Seconds that an idle connection is kept.")
    shutdown_timeout: float = Field(30.0, ge=0, description="Seconds to finish answers in progress at shutdown.")
    admin: bool | None = Field(
        None,
        description="Admin API, dashboard and /metrics; not given: on, unless others could use them without a token.",
    )
    admin_token_env: str = Field(
        "SEMANTIC_LLM_CACHE_ADMIN_TOKEN", description="Environment variable with the token for these."
    )
    admin_hosts: list[str] = Field([], description="Names under which these are reached; empty: any with a token.")
    show_text: bool = Field(True, description="Whether the admin API and the dashboard show prompts and answers.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="What is logged.")

    @field_validator("upstream", mode="before")
    @classmethod
    def _upstreams(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = value.split()
        if isinstance(value, (list, tuple)):
            named: dict[str, str] = {}
            for text in value:
                if not isinstance(text, str):
                    raise ValueError("must be URLs, or NAME=URL")
                name, _, url = text.partition("=") if re.match(r"[A-Za-z0-9._-]+=", text) else (DEFAULT, "", text)
                if name in named:
                    raise ValueError(f"names {name!r} twice: give all upstreams but one as NAME=URL")
                named[name] = url
            value = named
        if isinstance(value, Mapping):
            return {name: {"url": found} if isinstance(found, str) else found for name, found in value.items()}
        return value

    @field_validator("url")
    @classmethod
    def _backend(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                backend_from_url(value)  # which opens nothing
            except (ImportError, TypeError) as error:
                raise ValueError(str(error)) from None
        return value

    @field_validator("upstream", "tenants", mode="after")
    @classmethod
    def _names(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            _checked_name(name)
        return value

    @field_validator("upstream", mode="after")
    @classmethod
    def _some(cls, value: dict[str, Any]) -> dict[str, Any]:
        taken = sorted(RESERVED & value.keys())
        if taken:
            raise ValueError(f"the name {taken[0]!r} is taken: /{taken[0]} is a path of the proxy's own")
        if not value:
            raise ValueError("must name at least one upstream, such as https://api.openai.com/v1")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: list[str]) -> list[str]:
        for text in value:
            try:
                ipaddress.ip_network(text, strict=False)
            except ValueError:
                raise ValueError(f"{text!r} is no address or network, such as 10.0.0.0/8") from None
        return value

    @field_validator("admin_token_env")
    @classmethod
    def _token_variable(cls, value: str) -> str:
        if not _VARIABLE.fullmatch(value):
            raise ValueError("must be the name of an environment variable, not a token")
        return value

    @field_validator("tenant_header")
    @classmethod
    def _tenant_header(cls, value: str) -> str:
        return _checked_header(value, UNUSABLE | CREDENTIALS) if value else value

    @model_validator(mode="after")
    def _fits(self) -> Settings:
        if self.tenant_header and not self.trusted_proxies:
            raise ValueError("tenant_header needs trusted_proxies: anybody else could name any tenant")
        if self.trusted_proxies and not self.tenant_header:
            raise ValueError("trusted_proxies needs tenant_header: the header in which they name the tenant")
        if self.only_known_tenants and not self.tenants and not self.tenant_header:
            raise ValueError("only_known_tenants needs tenants or tenant_header: else nobody is served")
        seen: dict[str, str] = {}
        for name, tenant in self.tenants.items():
            for digest in tenant.keys_sha256:
                if seen.setdefault(digest.lower(), name) != name:
                    raise ValueError(f"tenants {seen[digest.lower()]!r} and {name!r} have a key in common")
        names = [rule.name for rule in self.rules]
        if len(set(names)) < len(names):
            raise ValueError("rules: two rules have one name")
        return self


def _checked_name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError(f"{value!r} must be a name of letters, digits, '.', '_' and '-', 64 at most")
    return value


def _checked_header(value: str, taken: frozenset[bytes] = UNUSABLE) -> str:
    if not _HEADER.fullmatch(value):
        raise ValueError(f"{value!r} must be the name of a header, such as x-tenant")
    if value.lower().encode() in taken:
        raise ValueError(f"{value.lower()!r} has another meaning: name a header of its own")
    return value.lower()
