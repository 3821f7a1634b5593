"""`SemanticCache` and `@cache`, the main entry points for users."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NoReturn, ParamSpec, TypeVar, overload

from semantic_llm_cache.calls.lookup import Lookup
from semantic_llm_cache.config import TTL, TTLFunction
from semantic_llm_cache.doors.decorator import CachedFunction, bind, refuse_idle, split
from semantic_llm_cache.engine.engine import Engine
from semantic_llm_cache.engine.options import Mode, OnError, Options, SingleFlight, VerifyMode
from semantic_llm_cache.matching.decider import DEFAULT_GUARDS
from semantic_llm_cache.metrics.pricing import Price
from semantic_llm_cache.similarity.base import Embedder
from semantic_llm_cache.storage.contract import StorageBackend

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from semantic_llm_cache.engine.keywords import DecoratorOptions, DerivedOptions

__all__ = ["SemanticCache", "cache"]

P = ParamSpec("P")
R = TypeVar("R", covariant=True)


class SemanticCache(Engine):
    """A cache that looks up, calls and stores. Decorators and clients are doors to it.

    Args:
        backend: a `StorageBackend` or URL (``memory://``, ``sqlite:///cache.db``); None is the process's
            default, see `get_default_backend`.
        encryption_key: 32 random bytes as 64 hex digits or base64: what the backend stores is encrypted. Or several
            keys: the first encrypts, all decrypt. Needs `backend`. Backends opened by URL also take it from the
            environment variable ``SEMANTIC_LLM_CACHE_ENCRYPTION_KEY``. See ``docs/encryption.md``.
        embedder: an `EmbeddingProvider`, a name (``"auto"``, ``"onnx"``, ``"openai:..."``), or a callable from
            text to vector; None is ``"auto"``. Needed only if `similarity` is below 1, here, in a decorator, in a
            `CacheContext` or in a request.
        similarity: cosine from 0 to 1 at which a near prompt counts as the same; 1 means equal text only.
        ttl: how long an answer is served: seconds, timedelta, ``"1h30m"``; 0 stores nothing, None means for ever. Or
            a callable that is given the answer and its `Request`, and returns one of these.
        namespace: groups entries for management; part of the scope. In any other than "default", the decorated
            functions of this cache share answers, see `cache`.
        enabled: False lets every call through. So does ``SEMANTIC_LLM_CACHE_DISABLED=1``.
        guards: rules that find differences in meaning which cosine misses: ``"default"``, None, names of
            rules, or callables; see `matching.guards`.
        verify: a sync or async callable ``(prompt, candidate_prompt, response) -> bool | float`` asked about
            near candidates that passed threshold and guards, such as a `ModelJudge` or a `CrossEncoderJudge`: see
            ``docs/judges.md``.
        verify_band: ask only between these two similarities, refuse below, accept above.
        verify_mode: ``"inline"``, or ``"background"``: the caller gets a fresh answer now, and a yes makes both
            prompts aliases of one answer for the next time.
        max_error: upper bound on the share of all requests that are answered wrongly, learned online; `similarity`
            is then the minimum below which no candidate is considered (0.5 if not given). See
            ``docs/error-budget.md``.
        max_error_per_hit: the same for the share of hits that are wrong.
        same_answer: an `AnswerJudge`, `ModelJudge` or `CrossEncoderJudge`, or ``(fresh, stored) -> bool | float``, for
            the online policy and shadow mode: whether two answers say the same, or how probably. Default: an
            `AnswerJudge` with this cache's embedder.
        judge_error: how often `same_answer` errs: a share for both directions, or a pair (share of different answers
            that it calls the same, share of same answers that it calls different); the bounds are corrected for it.
            None: what was measured for the default judge, which the ready-made judges ask where they have no verdict;
            no errors for a callable. See ``docs/answers.md``.
        noise: for a model that answers one prompt differently each time: how often the judge calls two fresh answers
            to one prompt different. ``"measure"``: call the function twice, now and then, to find out; the second call
            runs in the background, and its answer is only compared. A share states it, which must not be too high; None
            allows for no noise. Needs an error budget. See ``docs/answers.md``.
        seed: makes the online policy's random draws repeatable.
        mode: ``"serve"``, or ``"shadow"``: always call, and record what the cache would have answered.
        on_event: called with the `Lookup` of every call.
        on_error: ``"open"``: a failing storage or embedder only costs the caller the saving;
            ``"raise"``: it raises `CacheBackendError` or `EmbeddingUnavailableError`.
        timeout: seconds that each storage operation or embedding may take; None means no limit.
        stale_while_revalidate: how long after its TTL an answer is still served, while a fresh one is fetched in
            the background. `stale_if_error`: how long after its TTL it is served when the call fails; it is read and
            checked again then. Both for equal text only; forms as for `ttl`.
        jitter: largest share of the TTL, up to 1, by which it is shortened at random, so that answers stored together
            do not expire together.
        single_flight: ``"process"``: of concurrent calls for one key, one in this process runs the function.
            ``"shared"``: one in all processes on the same Redis, PostgreSQL or SQLite file; the others wait for
            its answer (of a stream: for the whole stream, which they then replay). If it fails or dies, another one
            calls; if the storage fails, each process calls for itself. Each miss costs one more round trip.
        clock: wall time in seconds, for tests; replaces the backend's too.
        tags: labels of the stored entries.
        depends_on: what all answers rest on: names of documents, tools, a knowledge base, with their versions, or the
            names alone. An answer is not served once one of these has another version.
        version_of: plain or async, called with a name that a stored answer rests on; returns its present version, or
            None if it is gone. A plain one runs in a thread. If it fails, the answer is not served.
        evidence_overlap: from 0 to 1: of all names that the call and a stored answer rest on, the least share that
            both rest on (the Jaccard index).
        category: the category of all prompts, or a callable that is given a prompt and returns its category, settings
            (``{"similarity": 0.97, "ttl": "5m", "enabled": True}``), or None to leave it to the built-in rules.
        categories: settings by category: a mapping from names to mappings with `similarity`, `ttl`, `max_error` and
            `enabled`. The built-in rules know "time-bound", "code", "chat", and "facts" for the rest. By default,
            answers to time-bound prompts (weather, prices, news, "today") are kept for 5 minutes at most; a mapping is
            added to that; ``{"time-bound": None}`` or None switches it off. See ``docs/categories.md``.
        prompt_template: a format string that prompts are made from (``"Answer about {topic} using {context}"``), or a
            regex with named groups that matches the whole prompt. The fixed parts then are scope, and only the slots
            are compared by meaning, each with its counterpart. A prompt that does not fit is treated as without this
            option.
        exact_slots: names of slots that must be equal for a hit.
        redact: called with each prompt; returns the text to store and show in its place, or None to store nothing. A
            prompt that it changed is answered from the cache only when it is asked again in the same words, never by
            meaning. See `utils.PersonalData`.
        cache_if: called with a fresh answer; False keeps it out of the cache.
        price: `CacheConfig` with rates per 1,000 tokens, or a callable ``(input_tokens, output_tokens,
            response) -> USD``.
        max_prompt, max_response: the longest prompt, and the longest answer in its stored form, to store,
            in characters.

    Raises:
        ValueError, TypeError: an argument is not valid; the message names it.
        EmbeddingUnavailableError: `similarity` is below 1 and there is no usable embedder.

    Example:
        >>> import asyncio
        >>> from semantic_llm_cache import Request, SemanticCache
        >>> async def main():
        ...     async with SemanticCache("memory://") as cache:
        ...         async def call():
        ...             return "42"
        ...         request = Request("demo", {"model": "m"}, "What is six times seven?")
        ...         await cache.get_or_call(request, call)
        ...         return (await cache.lookup(request)).outcome
        >>> asyncio.run(main())
        'exact'
    """

    def __init__(
        self,
        backend: StorageBackend | str | None = None,
        *,
        encryption_key: str | bytes | Sequence[str | bytes] | None = None,
        embedder: Embedder | None = None,
        similarity: float = 1.0,
        ttl: TTL | TTLFunction = 3600,
        namespace: str = "default",
        enabled: bool = True,
        guards: Any = DEFAULT_GUARDS,
        verify: Callable[..., Any] | None = None,
        verify_band: tuple[float, float] | None = None,
        verify_mode: VerifyMode = "inline",
        max_error: float | None = None,
        max_error_per_hit: float | None = None,
        same_answer: Callable[..., Any] | None = None,
        judge_error: float | tuple[float, float] | None = None,
        noise: float | Literal["measure"] | None = None,
        seed: int | None = None,
        mode: Mode = "serve",
        stale_while_revalidate: TTL = None,
        stale_if_error: TTL = None,
        jitter: float = 0.0,
        single_flight: SingleFlight = "process",
        on_event: Callable[[Lookup], object] | None = None,
        on_error: OnError = "open",
        timeout: float | None = 1.0,
        clock: Callable[[], float] | None = None,
        tags: Iterable[str] = (),
        depends_on: Mapping[str, Any] | Iterable[str] = (),
        version_of: Callable[[str], Any] | None = None,
        evidence_overlap: float = 0.0,
        category: str | Callable[[str], str | Mapping[str, Any] | None] | None = None,
        categories: Mapping[str, Mapping[str, Any] | None] | Literal["default"] | None = "default",
        prompt_template: str | re.Pattern[str] | None = None,
        exact_slots: Iterable[str] = (),
        redact: Callable[[str], str | None] | None = None,
        cache_if: Callable[[Any], bool] | None = None,
        price: Price = None,
        max_prompt: int = 1_000_000,
        max_response: int = 20_000_000,
        **unknown: NoReturn,
    ) -> None:
        given = dict(locals())  # the given arguments by name
        super().__init__(Options.read(_named(given, "self", "__class__")))

    @overload
    def cache(self, function: Callable[P, R], /, **options: Unpack[DerivedOptions]) -> CachedFunction[P, R]: ...
    @overload
    def cache(self, /, **options: Unpack[DerivedOptions]) -> Callable[[Callable[P, R]], CachedFunction[P, R]]: ...
    def cache(self, function: Any = None, /, **options: Any) -> Any:
        """Return a decorator (or decorate `function`) bound to this cache.

        Takes the options of `semantic_llm_cache.cache`; the others are those of this cache.

        Raises:
            TypeError, ValueError: an option is not valid; the message names it.
        """
        engine_options, function_options = split(options)
        derived = self.derive(**engine_options)
        refuse_idle(engine_options, derived)
        if function is None:
            return lambda f: bind(f, derived.derive(), function_options)
        return bind(function, derived, function_options)


@overload
def cache(function: Callable[P, R], /) -> CachedFunction[P, R]: ...
@overload
def cache(
    similarity: float = 1.0,
    ttl: TTL | TTLFunction = 3600,
    backend: StorageBackend | str | None = None,
    namespace: str = "default",
    enabled: bool = True,
    key_func: Callable[..., str] | None = None,
    **options: Unpack[DecoratorOptions],
) -> Callable[[Callable[P, R]], CachedFunction[P, R]]: ...
def cache(
    similarity: Any = 1.0,
    ttl: TTL | TTLFunction = 3600,
    backend: StorageBackend | str | None = None,
    namespace: str = "default",
    enabled: bool = True,
    key_func: Callable[..., str] | None = None,
    *,
    encryption_key: str | bytes | Sequence[str | bytes] | None = None,
    embedder: Embedder | None = None,
    prompt: str | None = None,
    ignore: Iterable[str] = (),
    scope: Mapping[str, Any] | Callable[[], Any] | None = None,
    version: str | int | None = None,
    normalizer: Callable[[str], str] | None = None,
    tags: Iterable[str] | Callable[..., Iterable[str]] = (),
    depends_on: Mapping[str, Any] | Iterable[str] | Callable[..., Any] = (),
    version_of: Callable[[str], Any] | None = None,
    evidence_overlap: float = 0.0,
    category: str | Callable[[str], str | Mapping[str, Any] | None] | None = None,
    categories: Mapping[str, Mapping[str, Any] | None] | Literal["default"] | None = "default",
    prompt_template: str | re.Pattern[str] | None = None,
    exact_slots: Iterable[str] = (),
    redact: Callable[[str], str | None] | None = None,
    cache_if: Callable[[Any], bool] | None = None,
    result_type: Any = None,
    replay_delay: float | None = None,
    on_event: Callable[[Lookup], object] | None = None,
    on_error: OnError = "open",
    timeout: float | None = 1.0,
    guards: Any = DEFAULT_GUARDS,
    verify: Callable[..., Any] | None = None,
    verify_band: tuple[float, float] | None = None,
    verify_mode: VerifyMode = "inline",
    max_error: float | None = None,
    max_error_per_hit: float | None = None,
    same_answer: Callable[..., Any] | None = None,
    judge_error: float | tuple[float, float] | None = None,
    noise: float | Literal["measure"] | None = None,
    seed: int | None = None,
    mode: Mode = "serve",
    stale_while_revalidate: TTL = None,
    stale_if_error: TTL = None,
    jitter: float = 0.0,
    single_flight: SingleFlight = "process",
    price: Price = None,
    **unknown: Any,
) -> Any:
    """Cache the answers of a function that calls a model. Use it bare (`@cache`) or with options.

    Works on `async def` and `def`, on methods, classmethods and staticmethods (with `@cache` above `@classmethod`:
    the other way round `cache_lookup`, `cache_invalidate` and `with_lookup` raise TypeError from Python 3.13 on).
    The function keeps its signature, its type and its exceptions; exceptions are never cached, `None`, `""` and `[]`
    are.

    Args:
        similarity: cosine from 0 to 1 at which a near prompt counts as the same; 1 means equal text only.
        ttl: how long an answer is served: seconds, timedelta, ``"90s"``, ``"1h30m"``, ``"7d"``; 0 stores nothing, None
            means for ever. Counted from the store; a hit does not extend it. Or a callable ``(response, request)`` that
            returns one of these; of a stream it is given what `cache_if` gets. If it fails, the answer is not stored.
        backend: a `StorageBackend` or URL (``"sqlite:///cache.db"``); None is the process's default.
        namespace: groups entries for management. In "default" each function has its own entries. Functions with the
            same other namespace share answers: give it only to functions that answer a prompt alike, or tell them
            apart with `scope`. To group entries for deletion alone, use `tags`.
        enabled: False lets every call through.
        key_func: called with the function's arguments, returns the exact key as a string. All other
            arguments are then your responsibility: they no longer separate answers, not even in the near
            tier. Put what must separate them into `scope`.
        encryption_key: 32 random bytes as 64 hex digits or base64: what the backend stores is encrypted. Or several
            keys: the first encrypts, all decrypt. Needs `backend`. Backends opened by URL also take it from the
            environment variable ``SEMANTIC_LLM_CACHE_ENCRYPTION_KEY``. See ``docs/encryption.md``.
        embedder: an `EmbeddingProvider`, a name (``"auto"``, ``"onnx"``, ``"openai:text-embedding-3-small"``),
            or a sync or async callable from text to vector. It needs a `similarity` below 1.
        prompt: the parameter that holds the prompt; by default the first of `prompt`, `messages`, `question`,
            `query`, `input`, `text`, `message`, else the only `str` parameter.
        ignore: parameters that do not affect the answer (a client, a callback), and variables that the
            function closes over. All others must be equal for an answer to serve.
        scope: what else must be equal: a mapping, or a callable that returns it for each call.
        version: change it, e.g. with the prompt template, to stop using old entries.
        normalizer: applied to the text before both tiers, e.g. `utils.normalize_prompt`.
        tags: labels for `invalidate(tags=...)`, or a callable that makes them from the call's arguments.
        depends_on: what the answer rests on, or a callable that makes it from the call's arguments (for example from
            the retrieved documents, which `ignore` then leaves out of the key). `version_of`, `evidence_overlap`: see
            `SemanticCache`.
        category, categories: settings by the category of the prompt; see `SemanticCache`.
        prompt_template, exact_slots: what the prompts are made from, for example
            ``"Answer about {topic} using {context}"``; only the slots are then compared by meaning. See
            `SemanticCache`.
        redact: called with each prompt; returns the text to store and show in its place, or None to store nothing. A
            prompt that it changed is answered from the cache only when it is asked again in the same words, never by
            meaning. See `utils.PersonalData`.
        cache_if: called with a fresh answer; False keeps it out of the cache.
        replay_delay: for generators: seconds between the chunks of a hit; None replays at once.
        result_type: the type to rebuild stored answers to, if the return annotation does not say it.
        on_event: called with the `Lookup` of every call.
        on_error: ``"open"``, or ``"raise"`` to get the errors of storage and embedder.
        timeout: seconds that each storage operation or embedding may take.
        guards: rules that find differences which cosine misses; None for none.
        verify, verify_band, verify_mode: a second opinion about near candidates; see `SemanticCache`.
        max_error, max_error_per_hit, same_answer, judge_error, noise, seed: an upper bound on wrong answers, learned
            online; see `SemanticCache`.
        mode: ``"shadow"`` always calls and records what the cache would have answered.
        stale_while_revalidate, stale_if_error, jitter: how long past its TTL an answer may still serve, and how
            much TTLs vary; see `SemanticCache`.
        single_flight: ``"process"``: concurrent calls for one key run the function once in this process;
            ``"shared"``: once in all processes that use the backend. See `SemanticCache`.
        price: `CacheConfig` with rates per 1,000 tokens, or ``(input_tokens, output_tokens, response) -> USD``.

    Raises:
        TypeError, ValueError: when decorating, naming the argument. Also for `embedder` or `verify` with
            ``similarity=1``, which would never be asked.
        EmbeddingUnavailableError: when decorating with `similarity` below 1 and no usable embedder.
        CacheKeyError: when calling with an argument that has no stable fingerprint.

    Example:
        >>> import asyncio
        >>> @cache(ttl="1h")
        ... async def ask(prompt: str, model: str = "small") -> str:
        ...     return f"{model}: {len(prompt)}"
        >>> asyncio.run(ask("hello"))
        'small: 5'
    """
    given = dict(locals())
    bare = similarity if callable(similarity) or isinstance(similarity, (classmethod, staticmethod)) else None
    if bare is not None:
        del given["similarity"]
    engine_options, function_options = split(_named(given))
    engine = SemanticCache(**engine_options)
    refuse_idle(engine_options, engine)
    if bare is not None:
        return bind(bare, engine, function_options)
    return lambda function: bind(function, engine.derive(), function_options)


def _named(given: Mapping[str, Any], *but: str) -> dict[str, Any]:
    """Return the options among a function's arguments, including unknown ones."""
    return {**{name: value for name, value in given.items() if name not in ("unknown", *but)}, **given["unknown"]}
