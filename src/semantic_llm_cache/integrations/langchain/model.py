"""A LangChain chat model that answers from the cache, or has the model it wraps answer."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult, LLMResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import PrivateAttr

from semantic_llm_cache.calls import lookup as lookups
from semantic_llm_cache.calls.control import CacheControl
from semantic_llm_cache.calls.lookup import Lookup, last_lookup
from semantic_llm_cache.calls.refusals import NotStored, accepts, because
from semantic_llm_cache.calls.settings import CallSettings
from semantic_llm_cache.config import CacheConfig
from semantic_llm_cache.engine.driving import Steps, drive, drive_blocking
from semantic_llm_cache.engine.engine import Engine
from semantic_llm_cache.exceptions import PromptCacheError
from semantic_llm_cache.integrations._door import Door
from semantic_llm_cache.integrations._own_judge import with_own_judge
from semantic_llm_cache.integrations.langchain.asking import ask_plainly, name_of_model
from semantic_llm_cache.integrations.langchain.records import (
    ChunkCodec,
    Originals,
    noted,
    record_of,
    result_of,
    words,
)
from semantic_llm_cache.integrations.langchain.rewiring import replace_models
from semantic_llm_cache.integrations.langchain.scope import form_of_model, scope_of, turns_of
from semantic_llm_cache.integrations.langchain.stored import cut_off, misfit, rebuilt
from semantic_llm_cache.keys.request import Request
from semantic_llm_cache.runtime import background
from semantic_llm_cache.streams.stream import stream, stream_blocking
from semantic_llm_cache.wire.steps import Ask, Call

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from semantic_llm_cache.engine.keywords import OwnModelOptions
    from semantic_llm_cache.wire.checks import ToolCalls

__all__ = ["CachedChatModel"]

_NOT_TAKEN_OVER = ("cache", "rate_limiter")
"""Fields that the wrapped model keeps to itself: its rate limiter is asked for calls only, its cache never."""

_found: ContextVar[list[Lookup | None] | None] = ContextVar("semantic_llm_cache.langchain_found", default=None)
"""Collects the lookups of one `agenerate`, which LangChain makes in tasks of their own."""


class _Plan(NamedTuple):
    request: Request
    settings: CallSettings


class CachedChatModel(BaseChatModel):
    """A chat model that answers from the cache, or has the model it wraps answer.

    It takes the place of that model: ``invoke``, ``batch``, ``stream``, ``astream_events`` and their async forms,
    tools, structured output, retries, callbacks and tracing work as before. Its tags, metadata and callbacks are those
    of the wrapped model, and so are attributes that it does not have itself. Concurrent equal calls make one call.

    The last human message is compared by meaning. All messages before it, tools, stop words and other keywords must be
    equal, and so must all that the model and its client hold: name, temperature, address, credentials (as keyed
    hashes). Where a part of the model has no stable form, calls bypass the cache and the log says so: name the caller
    with `scope`.

    ``response_metadata["semantic_llm_cache"]`` of each answer says what the cache did: ``outcome``, ``id`` (for
    `report_wrong`), and where known ``similarity``, ``entry_key``, ``age``. A hit keeps the tokens of the first call in
    `usage_metadata` and has a message id of its own. LangChain's own cache (``set_llm_cache``) is not asked.

    Args:
        wrapped: a chat model: the model itself, not one with tools or a config bound.
        cache: the engine; None makes one from `options`.
        history: ``"exact"``, or ``"window:2"``, see `wire.WireCache`.
        tool_calls: ``"bypass"``: answers that call tools are not stored, or ``"cache"``. With structured output, the
            call of the output's tool is an answer and is stored.
        scope: more that counts: a mapping, or a callable that reads it (a tenant from a context variable).
        options: of `SemanticCache`: ``similarity``, ``ttl``, ``backend``, ... `cache_if` and `price` get the answer's
            message, `verify` and `same_answer` its words. These two may also be ``"model"``: the wrapped model judges,
            see `ModelJudge`.

    Raises:
        ValueError, TypeError: naming the argument.

    Example:
        >>> from langchain_core.language_models import GenericFakeChatModel
        >>> wrapped = GenericFakeChatModel(messages=iter(["Paris.", "Lyon."]))
        >>> model = CachedChatModel(wrapped, scope={"tenant": 1})  # what this model holds has no stable form
        >>> model.invoke("What is the capital of France?").content
        'Paris.'
        >>> again = model.invoke("What is the capital of France?")
        >>> again.content, again.response_metadata["semantic_llm_cache"]["outcome"]
        ('Paris.', 'exact')
    """

    wrapped: BaseChatModel

    _door: Door = PrivateAttr()
    _engine: Engine = PrivateAttr()
    _answers: frozenset[str] = PrivateAttr(default=frozenset())
    _given: dict[str, Any] = PrivateAttr()

    def __init__(
        self,
        wrapped: BaseChatModel,
        cache: Engine | None = None,
        *,
        history: str = "exact",
        tool_calls: ToolCalls = "bypass",
        scope: Mapping[str, Any] | Callable[[], Any] | None = None,
        **options: Unpack[OwnModelOptions],
    ) -> None:
        if not isinstance(wrapped, BaseChatModel):
            raise TypeError(
                f"wrapped= must be a chat model of LangChain, not a {type(wrapped).__name__}: wrap the model itself, "
                "then bind tools or a config to the CachedChatModel"
            )
        taken = {name: getattr(wrapped, name) for name in BaseChatModel.model_fields if name not in _NOT_TAKEN_OVER}
        fields: dict[str, Any] = {name: value for name, value in taken.items() if value is not None}
        super().__init__(**fields, wrapped=wrapped, cache=False)  # type: ignore[call-arg]
        own = {"history": history, "tool_calls": tool_calls, "scope": scope}
        self._given = {"cache": cache, **own, **options}
        self._door = Door(
            "langchain-model", cache, history=history, tool_calls=tool_calls, scope=scope,
            options=with_own_judge(options, cache, partial(ask_plainly, wrapped), partial(name_of_model, wrapped)),
        )  # fmt: skip
        self._engine = self._derived()

    @property
    def engine(self) -> Engine:
        """The engine behind it."""
        return self._door.engine

    async def aclear(self) -> int:
        """Remove all that chat models have stored on this backend; return how many entries."""
        return await self._door.clear()

    def clear(self) -> int:
        """`aclear` for plain code."""
        removed: int = background.run(self._door.clear())
        return removed

    # ------------------------------------------------------------------------------ calls

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        def ask() -> ChatResult:
            if self.wrapped.rate_limiter:
                self.wrapped.rate_limiter.acquire(blocking=True)
            function = self.wrapped._generate
            return function(messages, stop=stop, **_manager(function, run_manager), **kwargs)

        result: ChatResult = drive_blocking(self._answer(self._plan(messages, stop, kwargs), Call(ask)))
        return result

    async def _agenerate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        async def ask() -> ChatResult:
            if self.wrapped.rate_limiter:
                await self.wrapped.rate_limiter.aacquire(blocking=True)
            function = self.wrapped._agenerate
            return await function(messages, stop=stop, **_manager(function, run_manager), **kwargs)

        result: ChatResult = await drive(self._answer(self._plan(messages, stop, kwargs), Call(ask)))
        return result

    def _answer(self, plan: _Plan | None, ask: Call) -> Steps:
        """Return the result of a call: from the cache, of the same call in flight, or of the model."""
        lookups.forget()
        if plan is None:
            return (yield ask)
        own = Originals()

        def call() -> Steps:
            result = yield ask
            return own.keep(record_of(result), result)

        request, settings = plan
        record = yield Ask(self._engine, request, call, settings, settings.control is None)
        result = self._result(record, own)
        if result is None:
            record = yield Ask(self._engine, request, call, _fresh(settings))
            result = self._result(record, own)
        return result

    def _stream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        def ask() -> Iterator[ChatGenerationChunk]:
            if self.wrapped.rate_limiter:
                self.wrapped.rate_limiter.acquire(blocking=True)
            return self.wrapped._stream(messages, stop=stop, **kwargs)

        lookups.forget()
        plan = self._plan(messages, stop, kwargs)
        if plan is None:
            yield from ask()
            return
        own, codec = Originals(), self._codec()

        def source() -> Iterator[Any]:
            codec.opened()
            with closed(ask()) as asked:
                for chunk in asked:
                    yield own.keep(codec.data(chunk), chunk)

        first = True
        with closed(stream_blocking(self._engine, plan.request, source, plan.settings, codec=codec)) as chunks:
            for data in chunks:
                chunk = own.take(data) or rebuilt(data)
                yield self._noted(chunk) if first else chunk
                first = False

    async def _astream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        async def ask() -> AsyncIterator[ChatGenerationChunk]:
            if self.wrapped.rate_limiter:
                await self.wrapped.rate_limiter.aacquire(blocking=True)
            return self.wrapped._astream(messages, stop=stop, **kwargs)

        lookups.forget()
        plan = self._plan(messages, stop, kwargs)
        if plan is None:
            async with aclosed(await ask()) as asked:
                async for chunk in asked:
                    yield chunk
            return
        own, codec = Originals(), self._codec()

        async def source() -> AsyncIterator[Any]:
            codec.opened()
            async with aclosed(await ask()) as asked:
                async for chunk in asked:
                    yield own.keep(codec.data(chunk), chunk)

        first = True
        async with aclosed(stream(self._engine, plan.request, source, plan.settings, codec=codec)) as chunks:
            async for data in chunks:
                chunk = own.take(data) or rebuilt(data)
                yield self._noted(chunk) if first else chunk
                first = False

    def _plan(self, messages: list[BaseMessage], stop: list[str] | None, keywords: dict[str, Any]) -> _Plan | None:
        """Return the request and settings of a call; None for one that bypasses the cache."""
        try:
            settings, namespace = self._door.settings()
            if not settings.enabled:
                return None
            scope = scope_of(self.wrapped, {**keywords, "stop": stop}, self._door.scope is not None)
            # A call of the output's own tool is stored, and must not answer where it would be a tool's call.
            whole = {**scope, "answers": sorted(self._answers)}
            return _Plan(self._door.request(turns_of(messages), whole, namespace), settings)
        except (PromptCacheError, ValueError, TypeError, AttributeError) as error:
            self._door.bypass(error)
            return None

    def _result(self, record: Any, own: Originals) -> ChatResult | None:
        """Return the result that the engine answered with; None if a stored one cannot be read."""
        result = own.take(record)
        if result is None:
            try:
                result = result_of(record)
            except (KeyError, TypeError, ValueError):
                return None
        return ChatResult(
            generations=[self._noted(generation) for generation in result.generations], llm_output=result.llm_output
        )

    def _noted(self, generation: Any) -> Any:
        found = last_lookup()
        collected = _found.get()
        if collected is not None:
            collected.append(found)
        return noted(generation, found)

    async def agenerate(self, messages: list[list[BaseMessage]], *given: Any, **kwargs: Any) -> LLMResult:
        """Answer several lists of messages. `last_lookup` then is that of the last one, not of an earlier call."""
        collected: list[Lookup | None] = []
        mark = _found.set(collected)
        try:
            return await super().agenerate(messages, *given, **kwargs)
        finally:
            _found.reset(mark)
            found = collected[-1] if collected else None
            lookups.forget() if found is None else lookups.remember(found)

    # ------------------------------------------------------------------------------ what is stored

    def _derived(self) -> Engine:
        """Return the engine with the options that are callables wrapped to get answers in a readable form."""
        given = self._door.engine.options
        changed: dict[str, Any] = {"cache_if": self._fit}
        verify, same, price = given.verify, given.same_answer, given.price
        if verify is not None:
            changed["verify"] = lambda prompt, other, record: verify(prompt, other, words(record))
        if same is not None:
            changed["same_answer"] = lambda fresh, stored: same(words(fresh), words(stored))
        if price is not None and not isinstance(price, CacheConfig) and callable(price):
            changed["price"] = lambda asked, made, record: price(asked, made, result_of(record).generations[0].message)
        return self._door.engine.derive(**changed)

    def _fit(self, record: Any) -> bool:
        """Return whether a record may be stored. Raises NotStored with the reason where the answer is not fit."""
        parts = record.get("chunks") or record["generations"]
        # Of a stream, each chunk is asked: the reason that two chunks give is merged to a word that nobody knows.
        reason = next(filter(None, map(cut_off, parts)), "")
        if not reason:
            generations = result_of(record).generations
            reasons = (misfit(each, self._door.tool_calls, self._answers) for each in generations)
            reason = next(filter(None, reasons), "") if generations else because("empty")
        if reason:
            raise NotStored(reason)
        wanted = self._door.engine.cache_if
        return wanted is None or all(accepts(wanted, generation.message) for generation in generations)

    def _codec(self) -> ChunkCodec:
        return ChunkCodec(lambda text: self._engine.log_once("langchain stream", text))

    # ------------------------------------------------------------------------------ in place of the wrapped model

    def bind_tools(self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any) -> Any:
        """Bind tools as the wrapped model does. See `BaseChatModel.bind_tools`."""
        given = kwargs if tool_choice is None else {**kwargs, "tool_choice": tool_choice}
        return replace_models(self.wrapped.bind_tools(tools, **given), self._around)

    def with_structured_output(self, schema: Any = None, *, include_raw: bool = False, **kwargs: Any) -> Any:
        """Structure answers as the wrapped model does. See `BaseChatModel.with_structured_output`."""
        made = self.wrapped.with_structured_output(schema, include_raw=include_raw, **kwargs)
        answers = _tool_of(schema)
        return replace_models(made, lambda model: self._around(model, answers))

    def _around(self, model: BaseChatModel, answers: frozenset[str] = frozenset()) -> CachedChatModel:
        """Return this model around another one, such as a copy of the wrapped one.

        Args:
            model: to wrap.
            answers: names of tools whose call is an answer.
        """
        if model is self.wrapped and answers == self._answers:
            return self
        made = self.model_copy(update={"wrapped": model})
        made._answers = answers
        made._engine = made._derived()
        return made

    def __getattr__(self, name: str) -> Any:
        # Only asked for what this object does not have: `model_name`, `temperature`.
        wrapped = self.__dict__.get("wrapped")
        if name.startswith("_") or wrapped is None:
            return super().__getattr__(name)  # type: ignore[misc]
        return getattr(wrapped, name)

    def __cache_scope__(self) -> tuple[Any, ...]:
        # As a field of an instance whose method is cached, or as a model inside another one.
        return self._door, self._answers, form_of_model(self.wrapped)

    @property
    def _llm_type(self) -> str:
        return self.wrapped._llm_type

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        return self.wrapped._identifying_params

    @property
    def _serialized(self) -> dict[str, Any]:
        # What callbacks are told of the model.
        return self.wrapped._serialized

    def _get_invocation_params(self, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        return self.wrapped._get_invocation_params(stop=stop, **kwargs)

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return self.wrapped._get_ls_params(stop=stop, **kwargs)

    def _combine_llm_outputs(self, llm_outputs: list[Any], /) -> dict[str, Any]:
        return self.wrapped._combine_llm_outputs(llm_outputs)

    def get_token_ids(self, text: str) -> list[int]:
        """Return the wrapped model's ids of the tokens of a text."""
        return self.wrapped.get_token_ids(text)

    def get_num_tokens(self, text: str) -> int:
        """Return the wrapped model's number of tokens of a text."""
        return self.wrapped.get_num_tokens(text)

    def get_num_tokens_from_messages(self, messages: list[BaseMessage], *given: Any, **kwargs: Any) -> int:
        """Return the wrapped model's number of tokens of messages."""
        return self.wrapped.get_num_tokens_from_messages(messages, *given, **kwargs)

    def _should_stream(self, *, async_api: bool, run_manager: Any = None, **kwargs: Any) -> bool:
        disabled = self.disable_streaming is True or (self.disable_streaming == "tool_calling" and kwargs.get("tools"))
        return not disabled and self.wrapped._should_stream(async_api=async_api, run_manager=run_manager, **kwargs)

    def _streaming_disabled(self, **kwargs: Any) -> bool:
        return super()._streaming_disabled(**kwargs) or self.wrapped._streaming_disabled(**kwargs)

    def _should_use_protocol_streaming(self, *, async_api: bool, run_manager: Any = None, **kwargs: Any) -> bool:
        kind = type(self.wrapped)
        streams = kind._stream is not BaseChatModel._stream
        streams = streams or (async_api and kind._astream is not BaseChatModel._astream)
        return streams and super()._should_use_protocol_streaming(
            async_api=async_api, run_manager=run_manager, **kwargs
        )

    # ------------------------------------------------------------------------------ copies, pickles, LangChain's JSON

    def __deepcopy__(self, memo: Any = None) -> CachedChatModel:
        return self.model_copy()  # on the same cache

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.wrapped, self._given, self._answers)

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Return True: LangChain can write it down if it can write down the wrapped model and the options."""
        return True

    def to_json(self) -> Any:
        """Return what LangChain's `dumps` writes: the wrapped model and the options."""
        if self._given["cache"] is not None or self._answers:
            return self.to_json_not_implemented()
        options = {name: value for name, value in self._given.items() if value is not None}
        return {"lc": 1, "type": "constructor", "id": self.lc_id(), "kwargs": {"wrapped": self.wrapped, **options}}


def _restored(kind: type[CachedChatModel], wrapped: BaseChatModel, given: Any, answers: frozenset[str]) -> Any:
    made = kind.__new__(kind)
    CachedChatModel.__init__(made, wrapped, **given)
    return made._around(wrapped, answers)


@contextmanager
def closed(source: Iterator[Any]) -> Generator[Iterator[Any]]:
    """Close a generator at the end; an iterator of another kind has nothing to close."""
    try:
        yield source
    finally:
        if hasattr(source, "close"):
            source.close()


@asynccontextmanager
async def aclosed(source: AsyncIterator[Any]) -> AsyncGenerator[AsyncIterator[Any]]:
    """`closed` for async generators."""
    try:
        yield source
    finally:
        if hasattr(source, "aclose"):
            await source.aclose()


def _manager(function: Any, run_manager: Any) -> dict[str, Any]:
    """Return the run manager as a keyword, where the model takes one."""
    return {"run_manager": run_manager} if "run_manager" in inspect.signature(function).parameters else {}


def _fresh(settings: CallSettings) -> CallSettings:
    """Return settings for a call that does not look into the cache."""
    return replace(settings, control=replace(settings.control or CacheControl(), no_cache=True))


def _tool_of(schema: Any) -> frozenset[str]:
    """Return the name of the tool whose call is the answer, where structured output is a tool's call."""
    if schema is None:
        return frozenset()
    try:
        return frozenset({convert_to_openai_tool(schema)["function"]["name"]})
    except Exception:  # the wrapped model takes schemas of its own; its tool calls are then tool calls
        return frozenset()
