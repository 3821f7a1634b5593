"""`ModelJudge`: a chat model decides whether two answers say the same, or two prompts ask the same."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any

from semantic_llm_cache.arguments import check_count, check_number
from semantic_llm_cache.calls.context import overrides
from semantic_llm_cache.config import TTL
from semantic_llm_cache.doors.cache import SemanticCache
from semantic_llm_cache.doors.chat import open_chat
from semantic_llm_cache.exceptions import PromptCacheError
from semantic_llm_cache.keys.fingerprint import canonical
from semantic_llm_cache.keys.request import Request
from semantic_llm_cache.matching.answers.judge import AnswerJudge, AnswerVerdict
from semantic_llm_cache.matching.judges.budget import Budget
from semantic_llm_cache.matching.judges.fallback import FallbackJudge, Unknown
from semantic_llm_cache.matching.judges.wording import VERSION, Asked, Word, read_verdict, write_answers, write_prompts
from semantic_llm_cache.metrics.pricing import Price, make_price, usage_of
from semantic_llm_cache.redaction import describe
from semantic_llm_cache.runtime.awaiting import limited
from semantic_llm_cache.runtime.breaker import CircuitBreaker
from semantic_llm_cache.similarity.forking import reset_in_child
from semantic_llm_cache.storage.contract import StorageBackend
from semantic_llm_cache.utils import estimate_tokens

__all__ = ["ModelJudge"]

_AT_ONCE = 8  # most calls of the model at one time
_REPLY_TOKENS = 32  # expected of a reply, for the estimate of its cost
_MEANWHILE = "Answers are compared by rules meanwhile, and prompts count as different."
_ANSWERS: Any = object()  # no response given: the two texts are answers


class ModelJudge(FallbackJudge):
    """Asks a chat model: as ``same_answer=``, whether two answers say the same; as ``verify=``, whether two prompts
    ask the same.

    Verdicts are cached, exactly, in a namespace of their own; the model is asked once for a pair. Where it has no
    verdict (over budget, failed, too slow, too long, unreadable) answers are compared by `otherwise`, and prompts
    count as different. Answers are compared after the caller has its answer. Prompts are compared before, unless the
    cache has ``verify_mode="background"``. See ``docs/judges.md``.

    Args:
        client: a client of openai, anthropic or ollama, sync or async; ``"openai"``, ``"anthropic"`` or ``"ollama"``
            for a client made from the environment; a `CachedLLM`; or a callable from a prompt to text, sync or async.
        model: the model's name. A callable needs none, unless it holds something that cannot be part of a key.
        calls_per_hour: most calls of the model within any hour; None for no limit.
        usd_per_hour, usd_per_day: most USD within any hour, any 24 hours; None for no limit. Need `price`.
        price: a `CacheConfig` with rates, or ``(input_tokens, output_tokens, reply) -> USD``.
        timeout: seconds that one call may take.
        max_chars: longest question and answers together that are sent. Nothing is cut.
        request: further fields of each request to a provider, such as ``{"temperature": 0}``.
        backend: keeps the verdicts: a `StorageBackend` or URL; None is the process's default.
        ttl: how long a verdict is kept.
        namespace: of the stored verdicts.
        otherwise: the judge of answers where the model has no verdict; None is an `AnswerJudge`.

    The limits hold for this object in this process; `counts` says what it did.

    Raises:
        ValueError, TypeError: naming the argument.

    Example:
        >>> import re
        >>> def model(prompt):  # replies with one of the codes in the prompt
        ...     return re.search(r"SAME-[0-9a-f]+", prompt)[0]
        >>> judge = ModelJudge(model, backend="memory://")
        >>> import asyncio
        >>> asyncio.run(judge.compare("Capital of France?", "Paris", "It is Paris.")).reason
        'the model says: same'
    """

    def __init__(
        self,
        client: Any,
        model: str | None = None,
        *,
        calls_per_hour: int | None = 100,
        usd_per_hour: float | None = None,
        usd_per_day: float | None = None,
        price: Price = None,
        timeout: float = 30.0,
        max_chars: int = 40_000,
        request: Mapping[str, Any] | None = None,
        backend: StorageBackend | str | None = None,
        ttl: TTL = "30d",
        namespace: str = "judge",
        otherwise: AnswerJudge | None = None,
    ) -> None:
        super().__init__(otherwise)
        self._budget = _budget(calls_per_hour, usd_per_hour, usd_per_day, price)
        self._price = make_price(price)
        self._timeout = check_number(timeout, "timeout", "more than zero seconds", above=0)
        self._max_chars = check_count(max_chars, "max_chars", "a number of characters")
        fields = _fields(request)
        self._chat = open_chat(client, model, fields)
        self._scope = {
            "judge": VERSION, "model": self._chat.name, "request": canonical(fields, "request"),
        }  # fmt: skip
        self._cache = SemanticCache(backend, ttl=ttl, namespace=namespace, price=lambda given, made, reply: 0.0)
        self._breaker = CircuitBreaker("the model that judges", retry_after=30.0)
        self._counts: dict[str, float] = {}
        self.reset_after_fork()
        reset_in_child(self)

    def reset_after_fork(self) -> None:
        """Replace the lock, which a thread that the child lacks may hold, and forget calls that go on there."""
        self._lock = threading.Lock()
        self._running = 0
        self._breaker.reset_after_fork()

    @property
    def counts(self) -> dict[str, float]:
        """What this judge did.

        ``pairs`` it was asked about, ``calls`` of the model, ``same``, ``different``, ``usd`` spent; and for pairs
        without a verdict, by reason: ``unsure``, ``over budget``, ``failed``, ``busy``, ``too long``, ``unreadable``.
        """
        with self._lock:
            return {"pairs": 0, "calls": 0, "same": 0, "different": 0, "usd": 0.0, **self._counts}

    async def __call__(self, one: Any, other: Any, response: Any = _ANSWERS) -> float | bool:
        """Compare two answers; or two prompts, when called with a stored response too, as `verify` is."""
        if response is not _ANSWERS:
            return await self.same_prompts(one, other)
        return (await self.compare("", one, other)).probability

    async def ask(self, question: str, fresh: str, stored: str) -> AnswerVerdict:
        """Ask the model about two answers. Raises `Unknown`."""
        # In one order, so that the same two answers are one pair.
        pair = sorted((fresh, stored))
        word = await self._word("answers", (question, *pair), lambda: write_answers(question, *pair))
        return AnswerVerdict(float(word == "same"), f"the model says: {word}", "model")

    async def same_prompts(self, prompt: str, other: str) -> bool:
        """Ask the model whether two prompts ask the same. Raises PromptCacheError if it has no verdict."""
        if prompt == other:
            return True
        pair = sorted((prompt, other))
        return await self._word("prompts", pair, lambda: write_prompts(*pair)) == "same"

    # ------------------------------------------------------------------------ cache, budget, model

    async def _word(self, kind: str, texts: Any, write: Callable[[], Asked]) -> Word:
        """Return the verdict on a pair, "same" or "different", from the cache or the model. Raises `Unknown`."""
        self._count("pairs")
        if sum(map(len, texts)) > self._max_chars:
            raise self._unknown("too long")
        # A digest says which pair it was, and does not store the texts a second time.
        digest = blake2b(canonical(list(texts)), digest_size=24).hexdigest()
        request = Request(self._cache.namespace, {**self._scope, "kind": kind}, digest)
        token = overrides.set(None)  # a `CacheContext` around the caller's call is not meant for this one
        try:
            word: Word = await self._cache.get_or_call(request, lambda: self._from_model(write()))
        except Unknown:
            raise
        except PromptCacheError as error:
            raise self._unknown("failed") from error
        finally:
            overrides.reset(token)
        if word == "unsure":
            raise self._unknown("unsure")
        self._count(word)
        return word

    async def _from_model(self, asked: Asked) -> Word:
        estimate = self._price(estimate_tokens(asked.text), _REPLY_TOKENS, None)
        if not self._breaker.allow():
            raise self._unknown("failed")
        if not self._enter():
            raise self._unknown("busy")
        try:
            spending = self._budget.reserve(estimate)
            if spending is None:
                self._cache.log_once("budget", f"the budget of the model that judges is spent. {_MEANWHILE}")
                raise self._unknown("over budget")
            self._count("calls")
            self._count("usd", estimate)
            reply = await self._reply(asked.text)
            text = self._chat.text(reply)
            spending.usd = self._price(*usage_of(reply, asked.text, text), reply)
            self._count("usd", spending.usd - estimate)
        finally:
            self._leave()
        word = read_verdict(text, asked.codes)
        if word is None:
            self._cache.log_once("reply", f"the model that judges replied with none of the codes. {_MEANWHILE}")
            raise self._unknown("unreadable")
        return word

    async def _reply(self, prompt: str) -> Any:
        try:
            reply = await limited(self._chat.reply(prompt), self._timeout)
        except Exception as error:
            self._breaker.failed(error, "Check its name, address and credentials.")
            raise self._unknown("failed", describe(error)) from None
        self._breaker.succeeded()
        return reply

    def _enter(self) -> bool:
        with self._lock:
            if self._running >= _AT_ONCE:
                return False
            self._running += 1
            return True

    def _leave(self) -> None:
        with self._lock:
            self._running -= 1

    def _count(self, name: str, by: float = 1) -> None:
        with self._lock:
            self._counts[name] = self._counts.get(name, 0) + by

    def _unknown(self, reason: str, detail: str = "") -> Unknown:
        self._count(reason)
        return Unknown(f"the model has no verdict: {reason}{f' ({detail})' if detail else ''}")


def _budget(calls_per_hour: int | None, usd_per_hour: float | None, usd_per_day: float | None, price: Price) -> Budget:
    if calls_per_hour is not None:
        check_count(calls_per_hour, "calls_per_hour")
    for name, value in (("usd_per_hour", usd_per_hour), ("usd_per_day", usd_per_day)):
        if value is None:
            continue
        check_number(value, name, "more than zero USD", above=0)
        if price is None:
            raise ValueError(f"{name}= needs price=, what the model costs: a CacheConfig with rates, or a callable")
    return Budget(calls_per_hour, usd_per_hour, usd_per_day)


def _fields(request: Mapping[str, Any] | None) -> dict[str, Any]:
    if request is None:
        return {}
    if not isinstance(request, Mapping):
        raise TypeError(f"request={type(request).__name__} must be a mapping of fields, such as {{'temperature': 0}}")
    return dict(request)
