"""The types that keys know by name, each with the parts that do not count and why.

Types are given by module and qualified name, so that nothing has to be imported. The rule: what is
not listed here counts, or is an error. A name may be listed only if its value cannot identify a caller and
cannot change an answer.
"""

from __future__ import annotations

from typing import Any

from semantic_llm_cache.values.introspection import Where, where

__all__ = [
    "AS_TEXT",
    "CLIENTS",
    "MARKER",
    "NEUTRAL_TYPES",
    "PARTS",
    "SENTINELS",
    "client_attributes",
    "neutral_attributes",
]

MARKER = "_neutral_in_keys"
"""Class attribute of this package's own objects (caches, backends, embedders): not counted in a field."""


# ------------------------------------------------------------------- values that count by their text

AS_TEXT: frozenset[Where] = frozenset({
    ("fractions", "Fraction"),
    ("ipaddress", "IPv4Address"), ("ipaddress", "IPv6Address"), ("ipaddress", "IPv4Network"),
    ("ipaddress", "IPv6Network"), ("ipaddress", "IPv4Interface"), ("ipaddress", "IPv6Interface"),
    ("httpx", "URL"), ("httpx2", "URL"), ("httpx._urls", "URL"), ("httpx2._urls", "URL"),
    ("yarl", "URL"), ("yarl._url", "URL"),
    ("pydantic.networks", "_BaseUrl"), ("pydantic.networks", "_BaseMultiHostUrl"),
    ("pydantic_core._pydantic_core", "Url"), ("pydantic_core._pydantic_core", "MultiHostUrl"),
})  # fmt: skip
"""Immutable types whose `str` is their complete value."""

SENTINELS: frozenset[Where] = frozenset({
    ("builtins", "ellipsis"), ("builtins", "NotImplementedType"),
    ("openai", "NotGiven"), ("openai", "Omit"), ("openai._types", "NotGiven"), ("openai._types", "Omit"),
    ("anthropic", "NotGiven"), ("anthropic", "Omit"), ("anthropic._types", "NotGiven"), ("anthropic._types", "Omit"),
})  # fmt: skip
"""Types with one meaning and nothing inside: they count by their name."""

# -------------------------------------------------------------------- fields that do not count at all

_LOCK = "lets one in at a time; holds no data"
_LOOP = "runs callbacks; the same program runs on any loop"
_LOG = "writes log records; an answer does not depend on it"
_POOL_LIMIT = "limits how many run at once; holds no data"

NEUTRAL_TYPES: dict[Where, str] = {
    ("_thread", "lock"): _LOCK,
    ("_thread", "RLock"): _LOCK,
    ("threading", "_RLock"): _LOCK,
    ("threading", "Condition"): _LOCK,
    ("threading", "Event"): _LOCK,
    ("threading", "Semaphore"): _POOL_LIMIT,
    ("threading", "BoundedSemaphore"): _POOL_LIMIT,
    ("threading", "Barrier"): _LOCK,
    ("threading", "Thread"): "returns nothing to the method; what it was given to run is not asked",
    ("asyncio.locks", "Lock"): _LOCK,
    ("asyncio.locks", "Condition"): _LOCK,
    ("asyncio.locks", "Event"): _LOCK,
    ("asyncio.locks", "Semaphore"): _POOL_LIMIT,
    ("asyncio.locks", "BoundedSemaphore"): _POOL_LIMIT,
    ("anyio._core._synchronization", "Lock"): _LOCK,
    ("anyio._core._synchronization", "Event"): _LOCK,
    ("anyio._core._synchronization", "Semaphore"): _POOL_LIMIT,
    ("anyio._core._synchronization", "CapacityLimiter"): _POOL_LIMIT,
    ("anyio", "Lock"): _LOCK,
    ("anyio", "Event"): _LOCK,
    ("anyio", "Semaphore"): _POOL_LIMIT,
    ("anyio", "CapacityLimiter"): _POOL_LIMIT,
    ("anyio._backends._asyncio", "Lock"): _LOCK,
    ("anyio._backends._asyncio", "Event"): _LOCK,
    ("anyio._backends._asyncio", "Semaphore"): _POOL_LIMIT,
    ("anyio._backends._asyncio", "CapacityLimiter"): _POOL_LIMIT,
    ("asyncio.unix_events", "_UnixSelectorEventLoop"): _LOOP,
    ("asyncio.windows_events", "ProactorEventLoop"): _LOOP,
    ("asyncio.windows_events", "_WindowsSelectorEventLoop"): _LOOP,
    ("uvloop", "Loop"): _LOOP,
    ("logging", "Logger"): _LOG,
    ("logging", "RootLogger"): _LOG,
    ("logging", "NullHandler"): _LOG,
    ("logging", "StreamHandler"): _LOG,
    ("logging", "FileHandler"): _LOG,
    ("opentelemetry.trace", "ProxyTracer"): _LOG,
    ("opentelemetry.trace", "NoOpTracer"): _LOG,
    ("opentelemetry.sdk.trace", "Tracer"): _LOG,
    ("urllib3.util.retry", "Retry"): "how often it tries again",
    ("httpcore", "SyncBackend"): "opens sockets; holds no data",
    ("httpcore", "AnyIOBackend"): "opens sockets; holds no data",
    ("httpcore", "TrioBackend"): "opens sockets; holds no data",
    ("httpcore._backends.auto", "AutoBackend"): "opens sockets; picks the loop's library at its first use",
    ("httpcore2", "SyncBackend"): "opens sockets; holds no data",
    ("httpcore2", "AnyIOBackend"): "opens sockets; holds no data",
    ("httpcore2", "TrioBackend"): "opens sockets; holds no data",
    ("httpcore2._backends.auto", "AutoBackend"): "opens sockets; picks the loop's library at its first use",
    ("aiohttp.resolver", "ThreadedResolver"): "asks the system for addresses",
    ("aiohttp.resolver", "AsyncResolver"): "asks the system for addresses",
}
"""Types that are left out of what an instance or a client holds: exactly these, not their subclasses."""

# ------------------------------------------------------- clients, and what they are made of: all state

Neutral = dict[str, str]

_TIMES = "how long it waits"
_TRIES = "how often it tries again"
_CONNECTIONS = "sockets and live connections"
_LIMITS = "how many connections it keeps, and how long"
_MADE = "made from other state that counts"
_OWN_METHODS = "methods of the client, which counts itself"
_TELEMETRY = "writes spans; an answer does not depend on it"
_BOOKKEEPING = "counters and state of its own working"

_STAINLESS: Neutral = {
    "max_retries": _TRIES,
    "timeout": _TIMES,
    "_timeout": _TIMES,
    "_timeout_overridden": _TIMES,
    "_version": "version of the SDK",
    "_platform": "the machine's own platform",
    "_limits": _LIMITS,
    "_middleware_chain": _MADE + " (`_middleware`)",
    "_custom_auth": _MADE + " (`credentials`)",
    "_token_cache": _MADE + " (`credentials`)",
    "_open_telemetry": _TELEMETRY,
    "_lazy_tracer": _TELEMETRY,
    "_otel": _TELEMETRY,
}
_RESOURCE: Neutral = dict.fromkeys(("_get", "_post", "_patch", "_put", "_delete", "_get_api_list"), _OWN_METHODS)
_HTTPX: Neutral = {"_timeout": _TIMES, "_state": "whether it was opened or closed"}
_HTTPCORE: Neutral = {
    "_max_connections": _LIMITS,
    "_max_keepalive_connections": _LIMITS,
    "_keepalive_expiry": _LIMITS,
    "_retries": _TRIES,
    "_connections": _CONNECTIONS,
    "_requests": _CONNECTIONS,
    "_optional_thread_lock": _LOCK,
    "_socket_options": "options of sockets, such as keepalive",
}
_COOKIE_JAR: Neutral = {"_cookies_lock": _LOCK, "_now": "time of the last request"}
_EXECUTOR: Neutral = {
    **dict.fromkeys(
        ("_max_workers", "_work_queue", "_idle_semaphore", "_threads", "_broken", "_shutdown", "_shutdown_lock",
         "_thread_name_prefix", "_create_worker_context", "_resolve_work_item_task", "_mp_context",
         "_safe_to_dynamically_spawn_children", "_executor_manager_thread", "_processes", "_shutdown_thread",
         "_queue_count", "_pending_work_items", "_cancel_pending_futures", "_executor_manager_thread_wakeup",
         "_call_queue", "_result_queue", "_work_ids", "_max_tasks_per_child"),
        _BOOKKEEPING,
    ),
}  # fmt: skip

CLIENTS: dict[Where, Neutral] = {
    # OpenAI, Anthropic and other SDKs made by the same generator: see `client_attributes`.
    ("_base_client", "BaseClient"): _STAINLESS,
    ("_resource", "SyncAPIResource"): _RESOURCE,
    ("_resource", "AsyncAPIResource"): _RESOURCE,
    ("httpx._client", "BaseClient"): _HTTPX,
    ("httpx2._client", "BaseClient"): _HTTPX,
    ("requests.sessions", "Session"): {"max_redirects": "when it gives up"},
    ("ollama._client", "BaseClient"): {},
    ("aiohttp.client", "ClientSession"): {
        "_timeout": _TIMES,
        "_loop": _LOOP,
        "_source_traceback": "where it was made, for a warning",
        "_connector_owner": "who closes the connector",
        "_request_class": "classes of aiohttp",
        "_response_class": "classes of aiohttp",
        "_ws_response_class": "classes of aiohttp",
        "_read_bufsize": "sizes of buffers",
        "_max_line_size": "sizes of buffers",
        "_max_field_size": "sizes of buffers",
        "_max_headers": "sizes of buffers",
    },
}
"""Clients, recognised by a base class. All state counts except these attributes, also that of subclasses."""

PARTS: dict[Where, Neutral] = {
    # httpx and httpcore
    ("httpx", "HTTPTransport"): {},
    ("httpx", "AsyncHTTPTransport"): {},
    ("httpx", "MockTransport"): {},
    ("httpx", "ASGITransport"): {},
    ("httpx", "WSGITransport"): {},
    ("httpx._transports.default", "HTTPTransport"): {},
    ("httpx._transports.default", "AsyncHTTPTransport"): {},
    ("httpx2", "HTTPTransport"): {},
    ("httpx2", "AsyncHTTPTransport"): {},
    ("httpx2", "MockTransport"): {},
    ("httpx2", "ASGITransport"): {},
    ("httpx2", "WSGITransport"): {},
    ("httpx", "Headers"): {"_encoding": "found when first read"},
    ("httpx2", "Headers"): {"_encoding": "found when first read"},
    ("httpx", "QueryParams"): {},
    ("httpx2", "QueryParams"): {},
    ("httpx", "Cookies"): {},
    ("httpx2", "Cookies"): {},
    ("httpx._utils", "URLPattern"): {},
    ("httpx2._utils", "URLPattern"): {},
    ("httpx", "Auth"): {},
    ("httpx2", "Auth"): {},
    ("httpx", "DigestAuth"): {"_last_challenge": "the server's last challenge", "_nonce_count": _BOOKKEEPING},
    ("httpx2", "DigestAuth"): {"_last_challenge": "the server's last challenge", "_nonce_count": _BOOKKEEPING},
    ("netrc", "netrc"): {},
    ("httpcore", "ConnectionPool"): _HTTPCORE,
    ("httpcore", "AsyncConnectionPool"): _HTTPCORE,
    ("httpcore2", "ConnectionPool"): _HTTPCORE,
    ("httpcore2", "AsyncConnectionPool"): _HTTPCORE,
    ("httpcore", "Proxy"): {},
    ("httpcore2", "Proxy"): {},
    ("httpcore", "URL"): {},
    ("httpcore2", "URL"): {},
    # cookies
    ("http.cookiejar", "CookieJar"): _COOKIE_JAR,
    ("http.cookiejar", "DefaultCookiePolicy"): {"_now": "time of the last request"},
    ("http.cookiejar", "Cookie"): {"expires": "when it ends"},
    ("http.cookies", "Morsel"): {},
    ("http.cookies", "SimpleCookie"): {},
    # requests and urllib3
    ("requests.adapters", "HTTPAdapter"): {
        "_pool_connections": _LIMITS,
        "_pool_maxsize": _LIMITS,
        "_pool_block": _LIMITS,
        "proxy_manager": _MADE + " (the session's `proxies`)",
    },
    ("requests.structures", "CaseInsensitiveDict"): {},
    ("requests.auth", "AuthBase"): {},
    ("requests.auth", "HTTPDigestAuth"): {"_thread_local": "the server's last challenge"},
    ("urllib3.poolmanager", "PoolManager"): {
        "pools": _CONNECTIONS,
        "pool_classes_by_scheme": "classes of urllib3",
        "key_fn_by_scheme": "functions of urllib3",
    },
    # aiohttp
    ("aiohttp.connector", "BaseConnector"): {
        **dict.fromkeys(
            (
                "_conns",
                "_acquired",
                "_acquired_per_host",
                "_waiters",
                "_factory",
                "_cleanup_handle",
                "_cleanup_closed_handle",
                "_cleanup_closed_disabled",
                "_cleanup_closed_transports",
                "_placeholder_future",
                "_cached_hosts",
                "_throttle_dns_futures",
                "_resolve_host_tasks",
                "_closed",
            ),
            _CONNECTIONS,
        ),
        **dict.fromkeys(("_limit", "_limit_per_host", "_keepalive_timeout", "_force_close"), _LIMITS),
        **dict.fromkeys(
            ("_timeout_ceil_threshold", "_happy_eyeballs_delay", "_ssl_shutdown_timeout", "_interleave"), _TIMES
        ),
        "_loop": _LOOP,
        "_source_traceback": "where it was made, for a warning",
        "_resolver_owner": "who closes the resolver",
        "_use_dns_cache": "whether it remembers addresses",
    },
    ("aiohttp.cookiejar", "CookieJar"): {
        "_loop": _LOOP,
        **dict.fromkeys(("_morsel_cache", "_domain_counts", "_cookie_count"), _MADE + " (`_cookies`)"),
        **dict.fromkeys(("_expire_heap", "_expirations"), "when a cookie ends"),
        **dict.fromkeys(("_access_generations", "_next_access_generation"), _BOOKKEEPING),
    },
    ("aiohttp.cookiejar", "DummyCookieJar"): {"_loop": _LOOP},
    # what else people hold in fields
    ("queue", "Queue"): {
        **dict.fromkeys(("mutex", "not_empty", "not_full", "all_tasks_done"), _LOCK),
        "unfinished_tasks": _BOOKKEEPING,
        "shutdown": _BOOKKEEPING,
        "is_shutdown": _BOOKKEEPING,
    },
    ("asyncio.queues", "Queue"): {
        **dict.fromkeys(("_getters", "_putters", "_unfinished_tasks", "_is_shutdown"), _BOOKKEEPING),
        "_finished": _LOCK,
        "_loop": _LOOP,
    },
    ("concurrent.futures.thread", "ThreadPoolExecutor"): _EXECUTOR,
    ("concurrent.futures.process", "ProcessPoolExecutor"): _EXECUTOR,
    ("logging", "Logger"): dict.fromkeys(
        ("name", "level", "parent", "propagate", "handlers", "disabled", "_cache", "manager", "filters"), _LOG
    ),
    ("dateutil.tz.tz", "_ttinfo"): {},
    ("dateutil.tz._tzfile", "_ttinfo"): {},
    ("dateutil.tz._tzfile", "_TZStr"): {},
    ("dateutil.tz._tzfile", "_DayOffset"): {},
    ("dateutil.tz._tzfile", "_CalendarOffset"): {},
    ("dateutil.relativedelta", "relativedelta"): {},
    ("logging", "LoggerAdapter"): {"logger": _LOG},
    ("structlog._config", "BoundLoggerLazyProxy"): dict.fromkeys(
        ("_logger", "_wrapper_class", "_processors", "_context_class", "_cache_logger_on_first_use", "bind"), _LOG
    ),
    ("loguru._logger", "Logger"): {"_core": _LOG},
    ("tenacity", "BaseRetrying"): {"_local": _BOOKKEEPING, "_retry_state": _BOOKKEEPING},
}
"""Parts of clients, and other holders, recognised by a base class. All state counts except these attributes."""


def client_attributes(base: type) -> Neutral | None:
    """Return the neutral attributes of a client type itself (not of its bases), or None if it is not a client."""
    module, name = where(base)
    found = CLIENTS.get((module, name))
    if found is None and module.endswith(("._base_client", "._resource")):
        # The generator of these SDKs gives each its own copy of these modules. Their other state counts.
        found = CLIENTS.get((module.rpartition(".")[2], name))
    return found


def neutral_attributes(kind: Any) -> Neutral | None:
    """Return the attributes of a known client or part that do not count, or None for an unknown type."""
    found: Neutral | None = None
    for base in kind.__mro__[:-1]:
        listed = client_attributes(base)
        if listed is None:
            listed = PARTS.get(where(base))
        if listed is not None:
            found = {**(found or {}), **listed}
    return found
