"""pydantic-ai models through the cache.

agent = Agent(CachedModel("openai:gpt-4o-mini", similarity=0.95))
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any

from semantic_llm_cache._installation import install
from semantic_llm_cache.calls.lookup import forget
from semantic_llm_cache.calls.refusals import NotStored, accepts, because
from semantic_llm_cache.calls.settings import CallSettings
from semantic_llm_cache.engine.engine import Engine
from semantic_llm_cache.exceptions import PromptCacheError
from semantic_llm_cache.integrations._door import Door, check_names, finish_refusal
from semantic_llm_cache.integrations._own_judge import with_own_judge
from semantic_llm_cache.keys.request import Request
from semantic_llm_cache.redaction import describe

try:
    from pydantic_ai.messages import (
        ModelMessage,
        ModelMessagesTypeAdapter,
        ModelRequest,
        ModelResponse,
        UserPromptPart,
    )
    from pydantic_ai.models import CompletedStreamedResponse, ModelRequestParameters, StreamedResponse
    from pydantic_ai.models.wrapper import WrapperModel

    from semantic_llm_cache.integrations._pydantic_ai_scope import form_of_model, scope_of, turns_of
except ImportError as error:
    raise ImportError(f"CachedModel needs pydantic-ai: {install('pydantic-ai')}") from error

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from semantic_llm_cache.engine.keywords import OwnModelOptions
    from semantic_llm_cache.wire.checks import ToolCalls

__all__ = ["CachedModel"]


class CachedModel(WrapperModel):
    """A model that answers from the cache, or has the model it wraps answer.

    The last user prompt is compared by meaning. The messages before it, instructions, tools, output types and settings
    must be equal, and so must all that the model, its provider and the provider's client hold: credential, address,
    headers. With an unknown client calls bypass the cache, and the log says so: name the caller with
    `scope`, or put the cache below, at the connection (`integrations.httpx`).

    Structured output counts as an answer, other tool calls as tool calls. A streamed answer is stored when it has
    ended well; a hit is streamed as one event per part.

    Args:
        wrapped: a model, or its name.
        cache: the engine; None makes one from `options`.
        history: ``"exact"``, or ``"window:2"``, see `wire.WireCache`.
        tool_calls: ``"bypass"``: answers that call tools are not stored, or ``"cache"``.
        share_across_keys: whether models with different credentials share answers.
        scope: more that counts: a mapping, or a callable that reads it (a tenant from a context variable).
        options: of `SemanticCache`: ``similarity``, ``ttl``, ``backend``, ... `cache_if` is called with the
            ``ModelResponse``. `verify` and `same_answer` may also be ``"model"``: the wrapped model judges, see
            `ModelJudge`.

    Raises:
        ValueError, TypeError: naming the argument.
    """

    def __init__(
        self,
        wrapped: Any,
        cache: Engine | None = None,
        *,
        history: str = "exact",
        tool_calls: ToolCalls = "bypass",
        share_across_keys: bool = False,
        scope: Mapping[str, Any] | Callable[[], Any] | None = None,
        **options: Unpack[OwnModelOptions],
    ) -> None:
        super().__init__(wrapped)
        check_names(options, "share_across_keys")
        judged = with_own_judge(options, cache, self._ask, self._name)
        self.door = Door("pydantic-ai", cache, history=history, tool_calls=tool_calls, scope=scope, options=judged)
        self.share_across_keys = share_across_keys
        self._engine = self.door.engine.derive(cache_if=None)

    def _name(self) -> str:
        return f"pydantic-ai {self.wrapped.model_id} {getattr(self.wrapped, 'base_url', None) or ''}"

    async def _ask(self, prompt: str) -> str:
        """Return the text of the model's reply to one prompt."""
        asked = [ModelRequest(parts=[UserPromptPart(content=prompt)])]
        response = await self.wrapped.request(list(asked), None, ModelRequestParameters())
        return "".join(part.content for part in response.parts if part.part_kind == "text")

    def __cache_scope__(self) -> tuple[Any, ...]:
        # As a field of an instance whose method is cached, or as a model inside another one.
        return self.door, self.share_across_keys, form_of_model(self.wrapped)

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: Any,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Answer from the cache, or ask the model."""
        planned = self._plan(messages, model_settings, model_request_parameters)
        if planned is None:
            return await self.wrapped.request(messages, model_settings, model_request_parameters)
        request, settings = planned
        engine = self._engine.derive(cache_if=lambda stored: self._check(_rebuilt(stored), model_request_parameters))

        async def call() -> Any:
            return _plain(await self.wrapped.request(messages, model_settings, model_request_parameters))

        return _rebuilt(await engine.get_or_call(request, call, settings=settings))

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: Any,
        model_request_parameters: ModelRequestParameters,
        run_context: Any = None,
    ) -> AsyncGenerator[StreamedResponse]:
        """`request` for a stream."""
        planned = self._plan(messages, model_settings, model_request_parameters)
        if planned is not None:
            request, settings = planned
            found = await self._engine.lookup(request, settings=settings)
            if found.hit:
                yield CompletedStreamedResponse(
                    _rebuilt(found.response),
                    model_request_parameters=model_request_parameters,
                    replay_events=True,
                )
                return
            self.door.may_call(settings, found.reason)
        began = perf_counter()
        async with self.wrapped.request_stream(
            messages, model_settings, model_request_parameters, run_context
        ) as response:
            yield response
            if planned is not None:
                whole = response.get()
                # Without a finish reason, it may not have been read to its end.
                if whole.finish_reason is None:
                    self.door.refused(because("incomplete", "it named no finish reason"))
                    return
                try:
                    self._check(whole, model_request_parameters)
                except NotStored as refusal:
                    self.door.refused(refusal.reason)
                except Exception as error:  # cache_if, which must not keep the answer from the caller
                    self.door.refused(because("cache-if", f"it raised {describe(error)}"))
                else:
                    took = (perf_counter() - began) * 1000
                    await self._engine.store(request, _plain(whole), duration_ms=took, settings=settings)

    def _plan(
        self, messages: list[ModelMessage], model_settings: Any, parameters: ModelRequestParameters
    ) -> tuple[Request, CallSettings] | None:
        """Return the request and settings of a call; None for one that bypasses the cache."""
        forget()
        try:
            settings, namespace = self.door.settings()
            if not settings.enabled:
                return None
            scoped = self.door.scope is not None
            scope = scope_of(self.wrapped, model_settings, parameters, self.share_across_keys, scoped)
            return self.door.request(turns_of(messages), scope, namespace), settings
        except (PromptCacheError, ValueError, TypeError, AttributeError) as error:
            self.door.bypass(error)
            return None

    def _check(self, response: ModelResponse, parameters: ModelRequestParameters) -> bool:
        """Return True. Raises NotStored for an answer that must not be stored."""
        outputs = {tool.name for tool in parameters.output_tools}
        finish = finish_refusal(response.finish_reason)
        if finish or response.state != "complete":
            raise NotStored(finish or because("incomplete", f"state {response.state!r}"))
        says = False
        for part in response.parts:
            if part.part_kind == "tool-call":
                if part.tool_name not in outputs and not self.door.tool_calls:
                    raise NotStored(because("tool-calls"))
                says = True
            elif part.part_kind == "text":
                says = says or bool(part.content.strip())
            elif part.part_kind == "file":
                says = True
        wanted = self.door.engine.cache_if
        if not says:
            raise NotStored(because("empty"))
        if wanted is not None and not accepts(wanted, response):
            raise NotStored(because("cache-if", "it returned False"))
        return True


def _plain(response: ModelResponse) -> Any:
    plain = ModelMessagesTypeAdapter.dump_python([response], mode="json")[0]
    text = "".join(part.content for part in response.parts if part.part_kind == "text")
    # `content` is what people and policies read.
    return {"response": plain, "content": text, "usage": plain.get("usage")}


def _rebuilt(stored: Any) -> ModelResponse:
    made = ModelMessagesTypeAdapter.validate_python([stored["response"]])[0]
    assert isinstance(made, ModelResponse)
    return made
