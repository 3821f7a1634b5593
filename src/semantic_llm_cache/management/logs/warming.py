"""`warm_from_log`: stores the answers of a call log in a cache, under the keys that programs will look for."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, is_dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, get_origin

from semantic_llm_cache.arguments import check_flag, check_path, check_plain, check_text, shown
from semantic_llm_cache.calls.settings import CallSettings
from semantic_llm_cache.config import TTL, TTLFunction, check_ttl, parse_ttl
from semantic_llm_cache.engine.call import Call
from semantic_llm_cache.engine.engine import Engine
from semantic_llm_cache.engine.outcome import ALONE, MISS
from semantic_llm_cache.exceptions import CacheKeyError, CacheSerializationError
from semantic_llm_cache.keys.binding import BadCall, CallBinder
from semantic_llm_cache.keys.request import Request
from semantic_llm_cache.management.logs.reading import BadRecord, CallLog, Item, LoggedCall, NotForCache
from semantic_llm_cache.redaction import describe
from semantic_llm_cache.storage.contract import StorageBackend
from semantic_llm_cache.storage.key_check import require_key
from semantic_llm_cache.storage.registry import shared_backend
from semantic_llm_cache.values.annotations import meaning

if TYPE_CHECKING:
    from semantic_llm_cache.wire.cache import WireCache

__all__ = ["OPENAI_URL", "WarmReport", "warm_from_log"]

OPENAI_URL = "https://api.openai.com/v1"
_CHUNK = 64
_MOST_PROBLEMS = 1000


@dataclass
class WarmReport:
    """The result of warming from a log.

    Attributes:
        path, format: of the log.
        size, position: bytes of the log, and how many of them have been read.
        records: calls and other records read.
        stored: answers stored; in a dry run, those that would be.
        there: answers that were already in the cache, or earlier in the log.
        refused: answers that the cache does not admit, by reason: refusals, cut answers, tool calls.
        skipped: records that hold no answer for this cache, by reason.
        broken: records that cannot be read; the first 1,000 are in `problems`.
        problems: pairs of a place in the file (``"line 7"``) and a reason.
        dry_run: whether nothing was stored.
    """

    path: str = ""
    format: str = ""
    size: int = 0
    position: int = 0
    records: int = 0
    stored: int = 0
    there: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    broken: int = 0
    problems: list[tuple[str, str]] = field(default_factory=list)
    dry_run: bool = False


class _Refused(Exception):
    """An answer that the cache does not admit."""


class _Answer(NamedTuple):
    """An answer, as the door would store it."""

    request: Request
    settings: CallSettings
    value: Any
    duration_ms: float
    place: str


async def warm_from_log(
    path: str | os.PathLike[str],
    target: WireCache | Engine | Callable[..., Any],
    *,
    format: str = "auto",
    requests: str | os.PathLike[str] | None = None,
    backend: StorageBackend | str | None = None,
    base_url: str = OPENAI_URL,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    arguments: Mapping[str, Any] | None = None,
    models: Mapping[str, str] | None = None,
    fields: Mapping[str, Any] | None = None,
    ttl: TTL | TTLFunction = MISS,
    max_age: TTL = None,
    overwrite: bool = False,
    dry_run: bool = False,
    progress: Callable[[WarmReport], object] | None = None,
) -> WarmReport:
    """Store the answers of a log, so that the logged calls are hits from now on.

    No model is called. Each answer is stored under the key that `target` would use for the call. What `target`
    would not store (refusals, cut answers, tool calls) is left out. The time to live counts from now. It may be
    repeated: entries already in the cache are left alone.

    Args:
        path: the log: JSON lines, or a JSON document with a list. See `management.logs.formats` for the known formats.
        target: where the calls will be made: a `WireCache` with the options of the client's ``wrap(...)`` or
            transport; a decorated function; or a `SemanticCache`, for functions decorated with its namespace.
        format: of the log; ``"auto"`` takes it from the first records.
        requests: for the output of a batch, the batch's input.
        backend: where to store, instead of the target's backend.
        base_url: the base URL given to the client. (`WireCache` only; a part of the scope.)
        headers: headers of the client that answers depend on: its Authorization, unless the target has
            ``share_across_keys=True``; OpenAI-Organization, OpenAI-Project. (`WireCache` only.)
        arguments: other arguments of the function besides the prompt, as calls will have them. Those of a plain record
            take precedence.
        models: logged names of models -> names that requests use.
        fields: fields of the request's body that replace the logged ones; None removes a field.
        ttl: time to live of what is stored, instead of the target's.
        max_age: older calls are left out, if the log has their times.
        overwrite: replace what is in the cache.
        dry_run: count only.
        progress: called with the report every 64 records.

    Raises:
        FileNotFoundError: no such log.
        ValueError, TypeError: naming the argument; the log's format is unknown.
        CacheBackendError, EmbeddingUnavailableError: the storage or the model failed. What was stored stays.

    Example:
        >>> import asyncio, pathlib, tempfile
        >>> from semantic_llm_cache import cache
        >>> @cache
        ... async def ask(prompt: str) -> str:
        ...     raise RuntimeError("not called")
        >>> async def main():
        ...     with tempfile.TemporaryDirectory() as folder:
        ...         path = pathlib.Path(folder) / "log.jsonl"
        ...         _ = path.write_text('{"prompt": "2+2?", "response": "4"}\\n')
        ...         report = await warm_from_log(path, ask)
        ...     return report.stored, await ask("2+2?")
        >>> asyncio.run(main())
        (1, '4')
    """
    limit = parse_ttl(max_age, "max_age")
    if limit == 0:
        raise ValueError(f"max_age={shown(max_age)} must be more than zero: every record of the log would be too old")
    check_path(path, "path")
    if requests is not None:
        check_path(requests, "requests")
    for name, value in (("arguments", arguments), ("models", models), ("fields", fields)):
        if value is not None and not isinstance(value, Mapping):
            raise TypeError(f"{name}={shown(value)} must be a mapping, or None")
    check_text(base_url, "base_url")
    check_flag(overwrite, "overwrite")
    check_flag(dry_run, "dry_run")
    check_plain(progress, "progress")
    log = await asyncio.to_thread(lambda: CallLog(path, format, requests=requests))
    given = _pairs(headers)
    changes = _Changes(dict(models or {}), dict(fields or {}))
    changed: dict[str, Any] = {} if backend is None else {"backend": await require_key(shared_backend(backend))}
    if ttl is not MISS:
        changed["ttl"] = check_ttl(ttl)
    door = _door(target, changed, base_url, given, arguments or {})
    report = WarmReport(str(log.path), log.format, log.size, dry_run=dry_run)
    job = _Warming(door, changes, report, overwrite)
    items = iter(log)
    while chunk := await asyncio.to_thread(lambda: list(itertools.islice(items, _CHUNK))):
        await job.take(chunk, limit)
        if progress is not None:
            progress(report)
    return report


def _pairs(headers: Any) -> list[tuple[str, str]]:
    pairs = (
        list(headers.items() if isinstance(headers, Mapping) else headers) if isinstance(headers, Iterable) else None
    )
    if pairs is None or not all(
        isinstance(pair, tuple) and len(pair) == 2 and all(isinstance(one, str) for one in pair) for pair in pairs
    ):
        raise TypeError("headers= must be a mapping, or pairs, of names and values that are strings")
    return pairs


class _Changes(NamedTuple):
    models: dict[str, str]
    fields: dict[str, Any]

    def apply(self, call: LoggedCall) -> None:
        """Change the request to the one that programs will send."""
        body = call.body
        model = body.get("model")
        if isinstance(model, str):
            body["model"] = self.models.get(model, model)
        for name, value in self.fields.items():
            if value is None:
                body.pop(name, None)
            else:
                body[name] = value


class _Warming:
    """Stores the answers of one log."""

    def __init__(self, door: _Wire | _Function, changes: _Changes, report: WarmReport, overwrite: bool) -> None:
        self.door = door
        self.changes = changes
        self.report = report
        self.overwrite = overwrite

    async def take(self, chunk: list[Item], limit: float | None) -> None:
        """Store the answers of some records."""
        report = self.report
        found: dict[str, _Answer] = {}
        for item in chunk:
            report.records += 1
            report.position = item.position
            try:
                answer = self._answer(item, limit)
            except NotForCache as reason:
                _count(report.skipped, str(reason))
            except _Refused as reason:
                _count(report.refused, str(reason))
            except (BadRecord, CacheKeyError, CacheSerializationError) as error:
                self._broken(item.place, str(error))
            else:
                key = answer.request.key
                report.there += key in found
                if self.overwrite or key not in found:  # the first one, as a cache in use at the time would have kept
                    found[key] = answer
        if found and not self.overwrite:
            backend = self.door.engine.backend
            for key, entry in zip(list(found), await backend.get_many(list(found), touch=False), strict=True):
                if entry is not None:
                    del found[key]
                    report.there += 1
        # All at once, since the embedder and the backends batch what waits.
        results = await asyncio.gather(*(self._store(answer) for answer in found.values()), return_exceptions=True)
        problem = next((result for result in results if result is not None), None)
        if problem is not None:
            raise problem

    def _answer(self, item: Item, limit: float | None) -> _Answer:
        call = item.call
        if not isinstance(call, LoggedCall):
            raise call
        if limit is not None and call.started is not None and self.door.engine.clock() - call.started > limit:
            raise NotForCache("too old")
        self.changes.apply(call)
        return self.door.answer(call, item.place)

    def _broken(self, place: str, reason: str) -> None:
        self.report.broken += 1
        if len(self.report.problems) < _MOST_PROBLEMS:
            self.report.problems.append((place, reason))

    async def _store(self, answer: _Answer) -> None:
        engine, report = self.door.engine, self.report
        call = Call(engine.redacted(answer.request), replace(answer.settings, ttl=engine.ttl)).again()
        engine.categories.apply(call)
        fresh = await engine.admission.weigh(call, answer.value, answer.duration_ms)
        if not fresh.wanted:
            _count(report.refused, fresh.refused)
            return
        if fresh.shared is ALONE:
            self._broken(answer.place, "the answer has no stored form")
            return
        if not report.dry_run:
            if call.needs_vector:
                await engine.access.embed(call.request.text, call.found)
            try:
                put = await engine.admission.put(call, fresh)
            except CacheSerializationError as error:
                self._broken(answer.place, str(error))
                return
            if not put.stored:
                _count(report.refused, put.refused)
                return
        report.stored += 1


def _count(counts: dict[str, int], reason: str) -> None:
    counts[reason] = counts.get(reason, 0) + 1


# ------------------------------------------------------------------------------ doors


def _door(
    target: Any,
    changed: dict[str, Any],
    base_url: str,
    headers: list[tuple[str, str]],
    arguments: Mapping[str, Any],
) -> _Wire | _Function:
    from semantic_llm_cache.management.warming import controls_of
    from semantic_llm_cache.wire.cache import WireCache

    if isinstance(target, WireCache):
        return _Wire(target, changed, base_url, headers)
    if isinstance(target, Engine):
        return _Function(_shared(target, arguments), changed, arguments)
    controls = controls_of(target)
    if controls is None:
        raise TypeError(
            f"target={shown(target)} must be a WireCache, a SemanticCache, or a function decorated with cache"
        )
    return _Function(controls, changed, arguments)


def _engine(engine: Engine, changed: dict[str, Any]) -> Engine:
    """Return the engine to store with: it has no timeout and raises on failures."""
    found = engine.derive(**changed, on_error="raise", timeout=None)
    if not found.enabled:
        raise ValueError("caching is off (enabled=False, or SEMANTIC_LLM_CACHE_DISABLED): nothing can be stored")
    return found


class _Wire:
    """Stores answers where SDK clients look for them."""

    def __init__(self, door: WireCache, changed: dict[str, Any], base_url: str, headers: list[tuple[str, str]]) -> None:
        self.door = door
        self.engine = _engine(door.engine, changed)
        self.base_url = base_url.rstrip("/")
        self.headers = headers

    def answer(self, call: LoggedCall, place: str) -> _Answer:
        """Return what this door would store for a call."""
        from semantic_llm_cache.wire import records
        from semantic_llm_cache.wire.formats import find_format
        from semantic_llm_cache.wire.strict import Bypass

        if not call.path:
            raise NotForCache("a plain prompt and response: it belongs to a function or a namespace")
        known = find_format(call.path)
        if known is None:
            raise NotForCache(f"no request that is cached: {call.path}")
        try:
            asked = known.read(call.body, self.door.reading)
        except Bypass as bypass:
            raise NotForCache(f"a request that is not cached: {bypass}") from None
        except (CacheKeyError, TypeError, ValueError, KeyError) as error:
            raise BadRecord(f"the request is not valid for {known.name} ({describe(error)})") from error
        if asked is None:
            raise NotForCache("a request that is not cached")
        body = json.dumps(call.body, ensure_ascii=False).encode("utf-8", "surrogatepass")
        plan = self.door.plan("POST", self._url(known.paths[0]), self.headers, body)
        if plan is None:
            raise NotForCache("a request that is not cached")  # above max_temperature
        try:
            reason = known.unfit(call.answer, self.door.reading.tool_calls)
        except (TypeError, KeyError, AttributeError, IndexError, ValueError) as error:
            raise BadRecord(f"the answer is not valid for {known.name}") from error
        if reason:
            raise _Refused(reason)
        text = json.dumps(call.answer, ensure_ascii=False, separators=(",", ":"))
        told = {"content-type": "application/json", **({"x-request-id": call.request_id} if call.request_id else {})}
        record = records.of_body(known, told, text)
        if record is None:
            raise BadRecord(f"the answer is not valid for {known.name}")
        return _Answer(plan.request, plan.settings, record, call.duration_ms, place)

    def _url(self, path: str) -> str:
        # Some providers have the version in the base URL, others in the path.
        first = path.split("/")[1]
        return (
            self.base_url.removesuffix(f"/{first}") + path
            if self.base_url.endswith(f"/{first}")
            else (self.base_url + path)
        )


class _Function:
    """Stores answers where decorated functions look for them."""

    def __init__(self, controls: Any, changed: dict[str, Any], arguments: Mapping[str, Any]) -> None:
        binder = controls.binder
        if binder.instance_name is not None:
            raise TypeError(f"{binder.name} is a method: its entries belong to an instance, which a log does not hold")
        self.controls = controls
        self.binder = binder
        self.engine = _engine(controls.engine, changed)
        self.arguments = dict(arguments)
        self.known = dict(binder.signature.parameters)
        takes_any = any(p.kind is p.VAR_KEYWORD for p in self.known.values())
        unknown = [name for name in arguments if name not in self.known and not takes_any]
        if unknown:
            raise TypeError(
                f"arguments={unknown[0]!r} is no parameter of {binder.name}(), which has {list(self.known)}"
            )

    def answer(self, call: LoggedCall, place: str) -> _Answer:
        """Return what the function would store for a call."""
        prompt, response = self._texts(call)
        logged = call.body if call.path else call.arguments
        given = {
            **self.arguments,
            **{name: value for name, value in logged.items() if name in self.known and name != self.binder.prompt_name},
        }
        args: tuple[Any, ...] = ()
        parameter = self.known.get(self.binder.prompt_name)
        if parameter is not None and parameter.kind is parameter.POSITIONAL_ONLY:
            args = (prompt,)
        else:
            given[self.binder.prompt_name] = prompt
        try:
            request = self.binder.bind(args, given)
        except (BadCall, TypeError) as error:
            raise BadRecord(f"no call of {self.binder.name}: {error}") from error
        settings = self.controls.tagged(self.controls.settings, args, given)
        if self.controls.streams:
            return _Answer(request, settings, [response], call.duration_ms, place)
        try:
            value = _typed(response, meaning(settings.target))
        except Exception as error:  # a model's own validation may raise anything
            raise BadRecord(f"the response is not what {self.binder.name} returns ({describe(error)})") from error
        return _Answer(request, settings, value, call.duration_ms, place)

    def _texts(self, call: LoggedCall) -> tuple[Any, Any]:
        """Return what the function is given as its prompt, and what it returned."""
        if not call.path:
            return call.prompt, call.response
        from semantic_llm_cache.wire.formats import find_format

        known = find_format(call.path)
        if known is None:
            raise NotForCache(f"no request that is cached: {call.path}")
        reason = known.unfit(call.answer, False)
        if reason:
            raise _Refused(reason)
        messages = call.body.get("messages", call.body.get("input"))
        if self.binder.prompt_name != "messages" and isinstance(messages, list):
            single = messages[0] if len(messages) == 1 and isinstance(messages[0], Mapping) else {}
            if single.get("role") != "user" or not isinstance(single.get("content"), str):
                raise NotForCache(f"a conversation, where {self.binder.name} takes a prompt")
            messages = single["content"]
        return messages, known.text(call.answer)


def _typed(value: Any, target: Any) -> Any:
    """Return a logged response, plain JSON, as what the function returns."""
    if target is Any or not isinstance(target, type) or get_origin(target) is not None or isinstance(value, target):
        return value
    if isinstance(value, dict) and hasattr(target, "model_validate"):
        return target.model_validate(value)
    if isinstance(value, dict) and is_dataclass(target):
        return target(**value)
    if target in (str, int, float, bool, list, dict, bytes, type(None)) and not (
        target is float and type(value) is int
    ):
        raise TypeError(f"a {type(value).__name__} and no {target.__name__}")
    return value


class _SharedControls(NamedTuple):
    """What is known of functions when only their namespace is given."""

    engine: Engine
    binder: Any
    settings: CallSettings
    streams: bool = False

    def tagged(self, settings: CallSettings, args: Any, kwargs: Any) -> CallSettings:
        return settings


def _shared(engine: Engine, arguments: Mapping[str, Any]) -> _SharedControls:
    """Return what stands for every function of a namespace that takes a prompt and `arguments`."""
    if engine.namespace == "default":
        raise ValueError(
            'in the namespace "default" each function has its own entries: name the function, or another namespace'
        )

    def stand_in(prompt: str, **rest: Any) -> None:
        """Take what the functions take."""

    named = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in arguments if name != "prompt"]
    prompt = inspect.Parameter("prompt", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=str)
    stand_in.__signature__ = inspect.Signature([prompt, *named])  # type: ignore[attr-defined]
    binder = CallBinder(stand_in, namespace=engine.namespace)
    binder.name = f"a function of the namespace {engine.namespace!r}"
    return _SharedControls(engine, binder, engine.settings())
