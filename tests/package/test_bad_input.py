"""Bad input to public functions: an error of a documented type that names the argument, and nothing is lost."""

import inspect
import math
import warnings

import pytest

import semantic_llm_cache as package
from semantic_llm_cache import (
    AnswerJudge,
    CacheConfig,
    CacheContext,
    CachedLLM,
    CrossEncoderJudge,
    ModelJudge,
    PromptCacheError,
    Request,
    SemanticCache,
    cache,
    clear_cache,
    copy_cache,
    export_cache,
    get_stats,
    import_cache,
    invalidate,
    reembed_cache,
    register_fingerprint,
    report_right,
    report_wrong,
    set_default_backend,
    set_default_embedder,
    warm_cache,
    warm_from_log,
)
from semantic_llm_cache.backends import MemoryBackend, PostgresBackend, RedisBackend, SQLiteBackend
from semantic_llm_cache.calls.control import CacheControl
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.stats import reset_stats
from semantic_llm_cache.storage.registry import backend_from_url, resolve_backend

pytestmark = pytest.mark.usefixtures("only_own_engines")

BAD = (
    None, 5, b"x", "", [], (), {}, object(), math.nan, math.inf, -math.inf, 10**400, -1, 0, True, "x\0y", "\ud800",
    "1e999", "no such thing", 1.5, -(10**400), 10**5000, [None], [5], {"a": object()}, range(3), {5}, 1j, ...,
    "a" * 3000,
)  # fmt: skip
DOCUMENTED = (ValueError, TypeError, PromptCacheError, OSError)


def _servers():
    import postgres_servers
    import redis_servers

    def postgres():
        url = postgres_servers.server_url()
        return PostgresBackend(url, schema=postgres_servers.own_schema(url))

    return [
        pytest.param(
            lambda: RedisBackend(redis_servers.server_url("plain"), prefix=redis_servers.own_prefix()), id="redis"
        ),
        pytest.param(postgres, id="postgres"),
    ]


class Kept(MemoryBackend):
    """Has one entry that no bad call may lose."""


async def kept():
    backend = Kept()
    await backend.set("k", CacheEntry("a prompt", "an answer", tags=("t",)))
    return backend


async def answer(prompt: str):
    return "an answer"


# Each function with its parameters, and how it is called with one of them. {backend}: of one entry.
CALLS = {
    SemanticCache: {},
    CacheContext: {},
    CacheConfig: {},
    SQLiteBackend: {"db_path": "unused.db"},
    MemoryBackend: {},
    CachedLLM: {},
    Request: {},
    clear_cache: {"backend": "{backend}", "namespace": "none"},
    invalidate: {"backend": "{backend}", "pattern": "nothing"},
    export_cache: {"backend": "{backend}", "filepath": None},
    import_cache: {"backend": "{backend}", "filepath": "{file}"},
    warm_cache: {"prompts": ["a"], "llm_func": answer},
    copy_cache: {"src": "{backend}", "dst": "memory://"},
    reembed_cache: {"backend": "{backend}", "embedder": "dummy"},
    get_stats: {},
    reset_stats: {},
    report_right: {"lookup": "no key", "backend": "{backend}"},
    report_wrong: {"lookup": "no key", "backend": "{backend}"},
    set_default_backend: {},
    set_default_embedder: {},
    backend_from_url: {},
    resolve_backend: {},
    CacheControl.read: {},
    cache: {},
    AnswerJudge: {},
    CrossEncoderJudge: {"model": "none"},
    ModelJudge: {"client": answer, "price": CacheConfig()},
    warm_from_log: {"path": "{log}", "target": cache(answer)},
    register_fingerprint: {"kind": int, "function": str},
}
# None means all namespaces, or all backends in use.
HARMLESS = {(clear_cache, "namespace"): (None,), (report_right, "backend"): (None,), (report_wrong, "backend"): (None,)}
ALIASES = {(CacheControl.read, "given"): "cache_control"}
SKIPPED = {
    (register_fingerprint, "function"),  # any callable is taken at its word
    (Request, "scope"),  # anything that has a fingerprint; the error names the place in it
    (cache, "ignore"),
}


OPTIONS = (SemanticCache, CachedLLM, Request, cache, CacheContext, register_fingerprint, report_right, report_wrong)


def cases():
    for function in CALLS:
        for name, parameter in inspect.signature(function).parameters.items():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD) or (function, name) in SKIPPED:
                continue
            yield pytest.param(function, name, id=f"{function.__qualname__}-{name}")


def values(function, name):
    for value in BAD:
        if function in OPTIONS and value in (10**5000, "a" * 3000):
            continue  # their reprs are written out
        if value not in HARMLESS.get((function, name), ()):
            yield value


async def called(function, arguments):
    made = function(**arguments)
    if inspect.isawaitable(made):
        made = await made
    if function is cache:
        made = made(answer)
        return await made("a question")
    if isinstance(made, SemanticCache):
        ask = made.cache()(answer)
        await ask("a question")
        await made.close()
    return made


async def error_of(function, arguments):
    """Return the text of a documented error, None when there was none, or it was of the system."""
    try:
        await called(function, arguments)
    except OSError:
        return None
    except DOCUMENTED as error:
        return str(error)
    return None


@pytest.mark.parametrize(("function", "name"), list(cases()))
async def test_one_argument_is_bad(function, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    export, log = tmp_path / "export.jsonl", tmp_path / "log.jsonl"
    await export_cache(filepath=export, backend=await kept())
    log.write_text('{"prompt": "a question", "response": "an answer"}\n')
    parameters = inspect.signature(function).parameters
    for value in values(function, name):
        backend = await kept()
        given = {"{backend}": backend, "{file}": export, "{log}": log}
        arguments = {key: given.get(one, one) if isinstance(one, str) else one for key, one in CALLS[function].items()}
        if "backend" in parameters and name != "backend" and function in (SemanticCache, cache, CachedLLM):
            arguments["backend"] = backend
        if name in ("similarity", "embedder", "max_error") and function in (SemanticCache, cache):
            arguments |= {"embedder": "dummy", "similarity": 0.9}
        if function is Request:
            arguments["text"] = "a"
        arguments[name] = value
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            text = await error_of(function, arguments)
        if text is not None:
            assert ALIASES.get((function, name), name).casefold() in text.casefold(), (value, text)
            assert len(text) < 2000
        assert await backend.get("k") is not None, value


def test_every_public_function_is_here():
    classes_of_values = {
        "AnswerVerdict",
        "CacheStats",
        "Lookup",
        "StorageBackend",
        "last_lookup",
        "get_default_backend",
    }
    for name in package.__all__:
        one = getattr(package, name)
        if callable(one) and not (isinstance(one, type) and issubclass(one, Exception)):
            assert one in CALLS or name in classes_of_values, name


MUST = [
    *((function, "namespace", value) for function in (clear_cache, invalidate, export_cache, copy_cache, reembed_cache,
      warm_cache, get_stats, reset_stats, CacheContext, CacheConfig) for value in (5, b"x", ["default"], math.nan)),
    *((invalidate, "tags", value) for value in (5, b"x", [5], [None], [""], {"a"}.pop)),
    *((function, name, value) for function, name in ((export_cache, "filepath"), (import_cache, "filepath"),
      (SQLiteBackend, "db_path"), (warm_from_log, "path")) for value in (5, b"x", "x\0y", ["a"])),
    *((warm_cache, "prompts", value) for value in (5, None, "one", b"x")),
    *((warm_cache, "concurrency", value) for value in (0, -1, True, 1.5, "8", 10**400)),
    *((CacheContext, "cache_control", value) for value in (5, b"x", [5], [("a",)], "max-age=1e999x",
      {"similarity": 10**400})),
    *((function, name, "no") for function, name in ((copy_cache, "overwrite"), (copy_cache, "dry_run"),
      (reembed_cache, "dry_run"), (reembed_cache, "missing"), (warm_from_log, "overwrite"),
      (warm_from_log, "dry_run"))),
    *((CacheConfig, "input_cost_per_1k", value) for value in (10**400, math.inf, math.nan, -1, "1", True)),
    *((CacheConfig, "ttl", value) for value in (10**400, "1e999", "9" * 400 + "s", math.inf, True, b"1h")),
    *((SemanticCache, "timeout", value) for value in (10**400, math.nan, 0, "1", True)),
    *((SQLiteBackend, "busy_timeout", value) for value in (10**400, math.nan, -1, "1", None)),
    *((function, "progress", 5) for function in (copy_cache, reembed_cache, warm_cache, warm_from_log)),
]  # fmt: skip


@pytest.mark.parametrize(("function", "name", "value"), MUST)
async def test_it_is_refused_and_named(function, name, value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    backend = await kept()
    given = {"{backend}": backend, "{file}": tmp_path / "no.jsonl", "{log}": tmp_path / "no.jsonl"}
    arguments = {key: given.get(one, one) if isinstance(one, str) else one for key, one in CALLS[function].items()}
    with pytest.raises((ValueError, TypeError), match=name):
        await called(function, {**arguments, name: value})
    assert await backend.get("k") is not None


@pytest.mark.parametrize("make", [MemoryBackend, lambda: SQLiteBackend("cache.db"), *_servers()])
async def test_backends_refuse_what_is_no_namespace_or_tag(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    backend = make()
    await backend.set("k", CacheEntry("a prompt", "an answer", tags=("t",)))
    for value in (5, b"default", ["default"], math.nan, object()):
        for call in (
            backend.clear(value),
            backend.iterate(value),
            anext(backend.scan(namespace=value)),
            backend.invalidate("a", namespace=value),
        ):
            with pytest.raises(TypeError, match="namespace="):
                await call
        with pytest.raises(TypeError, match="pattern="):
            await backend.invalidate(value)
    for value in (5, b"t", [5], [None], [""], math.nan):
        with pytest.raises(TypeError, match="tags="):
            await backend.invalidate(tags=value)
    for value in (0, -1, True, 1.5, "5", None, 10**400):
        with pytest.raises(ValueError, match="batch_size="):
            await anext(backend.scan(value))
    assert (await backend.get("k")).response == "an answer"
    assert await backend.invalidate(tags="t") == 1  # one tag, not its letters
    await backend.close()
