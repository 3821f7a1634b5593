"""Metrics and traces for OpenTelemetry, through its API alone.

from semantic_llm_cache.telemetry import otel
otel.instrument()
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable
from time import perf_counter_ns, time_ns
from typing import TYPE_CHECKING, Any

from semantic_llm_cache._installation import install
from semantic_llm_cache._version import __version__
from semantic_llm_cache.arguments import kind_of
from semantic_llm_cache.calls import lookup as lookups
from semantic_llm_cache.calls.refusals import word_of
from semantic_llm_cache.engine.call import Call
from semantic_llm_cache.engine.listening import Audience, Event, Listener
from semantic_llm_cache.engine.watch import Phase, Watch
from semantic_llm_cache.runtime import background
from semantic_llm_cache.telemetry.attaching import Attachment, attach, engines_of
from semantic_llm_cache.telemetry.gauges import Sizes, gauges
from semantic_llm_cache.telemetry.measures import Measure, Names, measures
from semantic_llm_cache.telemetry.spans import PREFIX
from semantic_llm_cache.telemetry.table import BY_KEY, METRICS

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from semantic_llm_cache.calls.lookup import Lookup
    from semantic_llm_cache.config import CacheEntry
    from semantic_llm_cache.engine.outcome import Found

__all__ = ["instrument"]

_SCOPE = "semantic_llm_cache"


def instrument(
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    *,
    cache: Any = None,
    prompts: bool = False,
) -> Attachment:
    """Record the metrics and spans in ``docs/metrics.md``.

    Args:
        tracer_provider: makes the spans; None means the global one.
        meter_provider: takes the metrics; None means the global one.
        cache: a `SemanticCache`, with all that is derived from it; None means all caches of the process, also those
            made later.
        prompts: True puts prompts on the spans. Answers are never recorded.

    Returns:
        An `Attachment`: ``close()`` ends it. A second call with the same providers and cache returns the same one,
        counts nothing twice, and leaves `prompts` as it is.

    Raises:
        ImportError: ``opentelemetry-api`` is not installed; the message says what to install.
        TypeError: `cache` is no cache, or a provider is none.

    Example:
        >>> from semantic_llm_cache import SemanticCache
        >>> attachment = instrument(cache=SemanticCache("memory://"))
        >>> attachment.close()
    """
    try:
        from opentelemetry import metrics, trace
    except ImportError as error:
        raise ImportError(
            f'this needs opentelemetry-api, the extra "otel" of this package: {install("otel")}'
        ) from error
    for name, given, method in (
        ("tracer_provider", tracer_provider, "get_tracer"),
        ("meter_provider", meter_provider, "get_meter"),
    ):
        if given is not None and not callable(getattr(given, method, None)):
            raise TypeError(f"{name}= must have {method}(), not be {kind_of(given)}; a cache is given as cache=")
    # By what was given: the global provider may still be set, after which it is another object.
    of_meters: Any = _GLOBAL if meter_provider is None else meter_provider
    of_tracers: Any = _GLOBAL if tracer_provider is None else tracer_provider
    with _lock:
        recorders = _recorders.setdefault(of_meters, weakref.WeakKeyDictionary())
        recorder = recorders.get(of_tracers)
        if recorder is None:
            recorder = recorders[of_tracers] = Recorder(
                tracer_provider if tracer_provider is not None else trace.get_tracer_provider(),
                meter_provider if meter_provider is not None else metrics.get_meter_provider(),
            )
    if not recorder.active:
        recorder.prompts = prompts
    attachment = attach(recorder, cache, recorder.attached, recorder.stop)
    recorder.active = True
    return attachment


class _Global:
    """Stands for the global provider."""


_GLOBAL = _Global()
_lock = threading.Lock()
_recorders: weakref.WeakKeyDictionary[Any, weakref.WeakKeyDictionary[Any, Recorder]] = weakref.WeakKeyDictionary()
"""By meter provider and tracer provider. They stay after `close`, since a meter keeps its instruments for ever."""


class Recorder(Listener):
    """Records calls with one pair of providers.

    Args:
        tracers: makes the spans.
        meters: takes the metrics.

    Attributes:
        attached: what it listens to.
        tracer: makes the spans.
        prompts: whether spans have prompts.
        active: whether it listens to anything.
    """

    def __init__(self, tracers: Any, meters: Any) -> None:
        self.attached: weakref.WeakKeyDictionary[Audience, Attachment] = weakref.WeakKeyDictionary()
        self.prompts = False
        self.active = False
        self.tracer = tracers.get_tracer(_SCOPE, __version__)
        self._names = Names()
        self._sizes = Sizes()
        self._instruments = self._made(meters.get_meter(_SCOPE, __version__))
        _alive.add(self)

    def _made(self, meter: Any) -> dict[str, Any]:
        made = {}
        for metric in METRICS:
            text = {"unit": metric.unit, "description": metric.help}
            if metric.kind == "counter":
                made[metric.key] = meter.create_counter(metric.otel, **text)
            elif metric.kind == "histogram":
                made[metric.key] = meter.create_histogram(
                    metric.otel, **text, explicit_bucket_boundaries_advisory=metric.buckets
                )
            else:
                made[metric.key] = meter.create_observable_gauge(metric.otel, [self._reader(metric.key)], **text)
        return made

    # ------------------------------------------------------------------------------ metrics

    def ended(self, event: Event) -> None:
        """Record the metrics of a call."""
        for measure in measures(event, self._names.label(event.lookup.namespace)):
            metric, instrument = BY_KEY[measure.key], self._instruments[measure.key]
            record = instrument.record if metric.kind == "histogram" else instrument.add
            record(measure.value, dict(zip(metric.labels, measure.labels, strict=True)))

    def _reader(self, key: str) -> Any:
        """Return what reads one gauge. It keeps this object alive no longer than the meter needs."""
        reference = weakref.ref(self)

        def read(_: object) -> Iterable[Any]:
            from opentelemetry.metrics import Observation

            recorder = reference()
            labels = BY_KEY[key].labels
            found = [] if recorder is None else recorder.read_gauges()
            return [
                Observation(measure.value, dict(zip(labels, measure.labels, strict=True)))
                for measure in found
                if measure.key == key
            ]

        return read

    def read_gauges(self) -> list[Measure]:
        """Return the present values of all gauges."""
        return gauges(engines_of(self), self._names, self._sizes)

    def stop(self) -> None:
        """Take note that it listens to nothing any more."""
        self.active = False

    def reset_after_fork(self) -> None:
        """Forget counts of entries that were under way."""
        self._sizes.reset_after_fork()

    # ------------------------------------------------------------------------------ spans

    def exact_hit(self, namespace: str, entry: CacheEntry, took_ms: float) -> None:
        """Record an exact hit that the process holds: metrics and one span."""
        lookup = lookups.last_lookup()
        if lookup is None:
            return
        tokens = (entry.input_tokens, entry.output_tokens)
        self.ended(Event(lookup, tokens, []))
        now = time_ns()
        span = self.tracer.start_span(PREFIX + "lookup", start_time=now - int(took_ms * 1e6))
        if span.is_recording():
            span.set_attributes(self.attributes(lookup, tokens))
        span.end(now)

    def begin(self, call: Call) -> CallSpans:
        """Begin the span of a call."""
        return CallSpans(self, call)

    def attributes(self, lookup: Lookup, tokens: tuple[int, int]) -> dict[str, Any]:
        """Return the attributes of the span of a call that has ended."""
        found: dict[str, Any] = {
            "outcome": lookup.outcome,
            "tier": lookup.tier,
            "namespace": lookup.namespace,
            "category": lookup.category,
            "lookup_id": lookup.id,
            "similarity": None if lookup.similarity is None else float(lookup.similarity),
            "age": lookup.age,
            "would": lookup.would,
            "would_be_right": lookup.would_be_right,
        }
        if lookup.hit:
            found["saved.duration"], found["saved.cost"] = lookup.saved_ms / 1000, lookup.saved_usd
            found["saved.input_tokens"], found["saved.output_tokens"] = tokens
        else:
            found["stored"], found["stored_reason"] = lookup.stored, word_of(lookup.stored_reason) or None
        if self.prompts:
            found["prompt"], found["matched_prompt"] = lookup.prompt, lookup.matched_prompt
            found["reason"] = lookup.reason
        return {PREFIX + name: _clean(value) for name, value in found.items() if value is not None}


class CallSpans:
    """The spans of one call. Made in the caller's context, whose span is their parent."""

    def __init__(self, recorder: Recorder, call: Call) -> None:
        from opentelemetry import trace

        self._recorder = recorder
        self._call: Call | None = call
        self._span = recorder.tracer.start_span(PREFIX + "lookup")
        self._below = trace.set_span_in_context(self._span)
        self._seen = False

    def looking(self) -> _Current:
        """Make this call's span current, so that those of instrumented clients of storage and embedder are below it."""
        return _Current(self._span, ends=False)

    def calling(self) -> _Current:
        """Return the span ``call``, current while the function runs."""
        self._seen = True
        return _Current(self._recorder.tracer.start_span(PREFIX + "call", self._below))

    def end(self, watch: Watch, error: BaseException | None) -> None:
        """End the span, and add those of the phases."""
        span, offset = self._span, time_ns() - perf_counter_ns()
        call, self._call = self._call, None
        if span.is_recording():
            for phase in watch.phases:
                if phase.name != "call" or not self._seen:
                    self._add(phase, offset, getattr(call, "found", None))
            if watch.lookup is not None:
                span.set_attributes(self._recorder.attributes(watch.lookup, watch.tokens))
            if error is not None:
                _mark_failed(span, error)
        span.end()

    def _add(self, phase: Phase, offset: int, found: Found | None) -> None:
        from opentelemetry.trace import SpanKind

        start, end = (int(at * 1e9) + offset for at in (phase.start, phase.end))
        kind, attributes = SpanKind.INTERNAL, dict[str, Any]()
        if phase.name == "embed":
            kind, attributes["gen_ai.operation.name"] = SpanKind.CLIENT, "embeddings"
            if found is not None and found.vector is not None:
                attributes["gen_ai.request.model"] = _clean(found.embedder)
                attributes["gen_ai.embeddings.dimension.count"] = len(found.vector)
        span = self._recorder.tracer.start_span(
            PREFIX + phase.name, self._below, kind=kind, attributes=attributes, start_time=start
        )
        span.end(end)


class _Current:
    """Makes a span current in the context in which something runs.

    Args:
        span: the span.
        ends: whether it ends with that.
    """

    def __init__(self, span: Any, ends: bool = True) -> None:
        self._span = span
        self._ends = ends
        self._token: Any = None

    def __enter__(self) -> None:
        from opentelemetry import context, trace

        self._token = context.attach(trace.set_span_in_context(self._span))

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        from opentelemetry import context

        if self._ends:
            if error is not None:
                _mark_failed(self._span, error)
            self._span.end()
        context.detach(self._token)


def _mark_failed(span: Any, error: BaseException) -> None:
    """Mark a span as failed. Not by the exception's message, which may hold the prompt."""
    from opentelemetry.trace import Status, StatusCode

    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    span.set_attribute("error.type", name)
    span.set_status(Status(StatusCode.ERROR))


def _clean(value: Any) -> Any:
    """Return text that can be written as UTF-8."""
    return value.encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) else value


_alive: weakref.WeakSet[Recorder] = weakref.WeakSet()


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    for recorder in list(_alive):
        recorder.reset_after_fork()


background.after_fork(_after_fork)
