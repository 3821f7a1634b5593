"""Metrics and traces in OpenTelemetry: the real SDK with its exporters in memory."""

import asyncio
import gc
import sys
import weakref

import pytest
from engine_helpers import LIMIT, FaultyBackend
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

from semantic_llm_cache import CacheContext, Request, SemanticCache
from semantic_llm_cache.engine.listening import EVERYWHERE
from semantic_llm_cache.telemetry import otel
from semantic_llm_cache.telemetry.spans import ATTRIBUTES, SPANS
from semantic_llm_cache.telemetry.table import BY_KEY, METRICS

SECRET = "my secret prompt"
PRICED = {"usage": {"input_tokens": 1000, "output_tokens": 2000}}


class Collected:
    """A pair of providers, and what they have recorded."""

    def __init__(self):
        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader])
        self.tracer = self.tracers.get_tracer("test")

    @property
    def spans(self):
        return list(self.exporter.get_finished_spans())

    def named(self, name):
        return [span for span in self.spans if span.name == name]

    def lookup(self):
        (span,) = self.named("semantic_llm_cache.lookup")
        return span

    def metrics(self):
        data = self.reader.get_metrics_data()
        if data is None:
            return {}
        return {
            metric.name: metric
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def point(self, key, **attributes):
        metric = self.metrics().get(BY_KEY[key].otel)
        for point in () if metric is None else metric.data.data_points:
            if dict(point.attributes) == attributes:
                return point.value if hasattr(point, "value") else point.count
        return None


@pytest.fixture
def collected():
    made = Collected()
    yield made
    made.tracers.shutdown()
    made.meters.shutdown()


@pytest.fixture
def everywhere(collected):
    with otel.instrument(collected.tracers, collected.meters):
        yield collected


def vector(text):
    return [1.0, 0.001 * len(text)]


def near(**options):
    return SemanticCache("memory://", embedder=vector, similarity=0.9, **options)


def attribute(span, name):
    return span.attributes.get(f"semantic_llm_cache.{name}")


# -------------------------------------------------------------------------------------- metrics


async def test_names_units_and_types_are_what_the_table_says(everywhere):
    engine = near()
    for text in ("what is a list", "what is a list", "what is a list?"):
        await engine.get_or_call(Request("faq", text=text), lambda: PRICED)
    shadow = SemanticCache("memory://", mode="shadow", namespace="shadow")
    for _ in range(2):
        await shadow.get_or_call(Request("shadow", text="a"), lambda: "b")
    with CacheContext(enabled=False):
        await engine.get_or_call(Request("faq", text="a"), lambda: "b")
    bounded = SemanticCache("memory://", embedder=vector, max_error=0.05, namespace="bounded", seed=1)
    await bounded.get_or_call(Request("bounded", text="a"), lambda: "b")
    found = everywhere.metrics()
    assert found.keys() == {metric.otel for metric in METRICS}
    kinds = {"counter": "Sum", "histogram": "Histogram", "gauge": "Gauge"}
    for metric in METRICS:
        made = found[metric.otel]
        assert (made.unit, made.description) == (metric.unit, metric.help)
        assert type(made.data).__name__ == kinds[metric.kind]
        for point in made.data.data_points:
            assert tuple(point.attributes) == metric.labels
            if metric.buckets:
                assert tuple(point.explicit_bounds) == metric.buckets


async def test_metrics_of_calls(everywhere):
    engine = SemanticCache("memory://")
    for _ in range(3):
        await engine.get_or_call(Request("faq", text="a"), lambda: PRICED)
    assert everywhere.point("lookups", namespace="faq", outcome="miss", tier="none") == 1
    assert everywhere.point("lookups", namespace="faq", outcome="exact", tier="exact") == 2
    assert everywhere.point("saved_tokens", namespace="faq", type="output") == 4000
    assert everywhere.point("saved_usd", namespace="faq") == pytest.approx(0.01)
    assert everywhere.point("lookup", outcome="exact") == 2
    assert everywhere.point("call") == 1
    assert everywhere.point("entries", backend="memory") >= 1


# -------------------------------------------------------------------------------------- spans


@pytest.mark.parametrize("plain", [False, True])
async def test_a_miss_has_a_span_for_each_phase_under_the_callers(everywhere, plain):
    engine, inside = near(), []

    def call():
        inside.append(get_current_span().get_span_context().span_id)
        return "b"

    with everywhere.tracer.start_as_current_span("caller") as caller:
        if plain:
            await asyncio.to_thread(engine.get_or_call_blocking, Request("faq", text="a"), call)
        else:
            await engine.get_or_call(Request("faq", text="a"), call)
        assert get_current_span() is caller
    lookup = everywhere.lookup()
    assert lookup.parent.span_id == caller.get_span_context().span_id
    phases = [everywhere.named(f"semantic_llm_cache.{name}")[0] for name in ("embed", "search", "decide", "call")]
    assert len(everywhere.spans) == 6
    before = lookup.start_time
    for span in phases:
        assert span.parent.span_id == lookup.context.span_id
        assert before - 1_000_000 <= span.start_time <= span.end_time <= lookup.end_time + 1_000_000
        before = span.end_time
    assert inside == [phases[3].context.span_id]
    embed = phases[0]
    assert embed.kind is SpanKind.CLIENT
    assert embed.attributes["gen_ai.operation.name"] == "embeddings"
    assert embed.attributes["gen_ai.embeddings.dimension.count"] == 2
    for span in (lookup, *phases):
        assert span.name in SPANS
        assert span.kind.name.lower() == SPANS[span.name][0]
        assert span.attributes.keys() <= ATTRIBUTES.keys()


async def test_spans_of_the_storages_client_lie_below_the_lookup(everywhere):
    class Traced(FaultyBackend):
        async def get(self, key):
            with everywhere.tracer.start_as_current_span("request to the storage"):
                return await super().get(key)

    engine = SemanticCache(Traced())
    outside = get_current_span()
    await engine.get_or_call(Request("faq", text="a"), lambda: "b")
    assert get_current_span() is outside
    (request,) = everywhere.named("request to the storage")
    assert request.parent.span_id == everywhere.lookup().context.span_id


async def test_what_a_span_says_of_a_hit(everywhere):
    engine = near()
    for text in ("what is a list", "what is a list", "what is a list?"):
        await engine.get_or_call(Request("faq", text=text), lambda: PRICED)
    miss, exact, close = everywhere.named("semantic_llm_cache.lookup")
    assert [attribute(span, "outcome") for span in (miss, exact, close)] == ["miss", "exact", "near"]
    assert attribute(miss, "stored") is True
    assert attribute(miss, "saved.input_tokens") is None
    for hit in (exact, close):
        assert attribute(hit, "tier") == attribute(hit, "outcome")
        assert attribute(hit, "saved.input_tokens") == 1000
        assert attribute(hit, "saved.output_tokens") == 2000
        assert attribute(hit, "saved.cost") == pytest.approx(0.005)
        assert attribute(hit, "lookup_id").startswith("lk_")
        assert hit.attributes.keys() <= ATTRIBUTES.keys()
    assert exact.end_time >= exact.start_time


async def test_no_prompt_unless_asked(collected):
    for prompts in (False, True):
        with otel.instrument(collected.tracers, collected.meters, prompts=prompts):
            engine = near()

            def fail():
                raise ValueError(SECRET)

            for text, call in ((SECRET, lambda: SECRET), (SECRET, lambda: 1), (SECRET + "?", lambda: 1), ("b", fail)):
                try:
                    await engine.get_or_call(Request("faq", text=text), call)
                except ValueError:
                    pass
        text = "".join(span.to_json() for span in collected.spans) + str(collected.reader.get_metrics_data())
        assert (SECRET in text) is prompts


async def test_failures_and_cancellation_end_the_spans(everywhere):
    engine, started = SemanticCache("memory://"), asyncio.Event()

    def fail():
        raise KeyError("no")

    async def hang():
        started.set()
        await asyncio.sleep(30)

    with pytest.raises(KeyError):
        await engine.get_or_call(Request("faq", text="a"), fail)
    task = asyncio.create_task(engine.get_or_call(Request("faq", text="b"), hang))
    await asyncio.wait_for(started.wait(), LIMIT)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0.01)
    failed, cancelled = everywhere.named("semantic_llm_cache.lookup")
    assert [span.status.status_code for span in (failed, cancelled)] == [StatusCode.ERROR] * 2
    assert failed.attributes["error.type"] == "KeyError"
    assert attribute(failed, "stored_reason") == "call-failed"
    assert cancelled.attributes["error.type"] == "asyncio.exceptions.CancelledError"
    calls = everywhere.named("semantic_llm_cache.call")
    assert [span.attributes["error.type"] for span in calls] == ["KeyError", "asyncio.exceptions.CancelledError"]


@pytest.mark.parametrize("plain", [False, True])
async def test_a_streams_span_ends_with_the_stream(everywhere, plain):
    engine, inside = SemanticCache("memory://"), set()

    def note():
        inside.add(get_current_span().get_span_context().span_id)

    if plain:

        @engine.cache()
        def ask(prompt: str):
            for piece in "abc":
                note()
                yield piece

    else:

        @engine.cache()
        async def ask(prompt: str):
            for piece in "abc":
                note()
                yield piece

    outside = get_current_span()
    for _ in range(2):
        stream = ask("a")
        first = next(stream) if plain else await anext(stream)
        assert get_current_span() is outside
        rest = list(stream) if plain else [piece async for piece in stream]
        assert "".join([first, *rest]) == "abc"
    miss, exact = everywhere.named("semantic_llm_cache.lookup")
    assert [attribute(span, "outcome") for span in (miss, exact)] == ["miss", "exact"]
    (call,) = everywhere.named("semantic_llm_cache.call")
    assert inside == {call.context.span_id}
    assert call.parent.span_id == miss.context.span_id
    left = ask("b")
    if plain:
        next(left)
        left.close()
    else:
        await anext(left)
        await left.aclose()
        await asyncio.sleep(0.01)
    assert len(everywhere.named("semantic_llm_cache.lookup")) == 3
    assert len(everywhere.named("semantic_llm_cache.call")) == 2


async def test_the_spans_of_concurrent_calls_do_not_mix(everywhere):
    engine = SemanticCache("memory://")

    async def one(i):
        with everywhere.tracer.start_as_current_span(f"caller {i % 3}"):

            async def call():
                with everywhere.tracer.start_as_current_span(f"model {i % 3}"):
                    await asyncio.sleep(0.01)
                return "b"

            await engine.get_or_call(Request("faq", text=f"a{i % 3}"), call)

    await asyncio.gather(*(one(i) for i in range(6)))
    by_id = {span.context.span_id: span for span in everywhere.spans}
    lookups = everywhere.named("semantic_llm_cache.lookup")
    assert sorted(attribute(span, "outcome") for span in lookups) == ["coalesced"] * 3 + ["miss"] * 3
    for span in everywhere.spans:
        if span.name.startswith("model"):
            call = by_id[span.parent.span_id]
            lookup = by_id[call.parent.span_id]
            caller = by_id[lookup.parent.span_id]
            assert (call.name, lookup.name) == ("semantic_llm_cache.call", "semantic_llm_cache.lookup")
            assert caller.name[-1] == span.name[-1]


async def test_a_plain_lookup_and_shadow_mode(everywhere):
    engine = near()
    await engine.lookup(Request("faq", text="a"))
    span = everywhere.lookup()
    assert attribute(span, "outcome") == "miss"
    assert {one.name for one in everywhere.spans} == {
        f"semantic_llm_cache.{n}" for n in ("lookup", "embed", "search", "decide")
    }
    everywhere.exporter.clear()
    shadow = SemanticCache("memory://", mode="shadow")
    for _ in range(2):
        await shadow.get_or_call(Request("faq", text="a"), lambda: "b")
    assert [attribute(one, "would") for one in everywhere.named("semantic_llm_cache.lookup")] == ["miss", "exact"]
    assert len(everywhere.named("semantic_llm_cache.call")) == 2


# -------------------------------------------------------------------------------------- beginning and ending


async def test_twice_is_once_and_close_ends_it(collected, caplog):
    engine = SemanticCache("memory://")
    first = otel.instrument(collected.tracers, collected.meters)
    assert otel.instrument(collected.tracers, collected.meters) is first
    await engine.get_or_call(Request("faq", text="a"), lambda: "b")
    assert collected.point("lookups", namespace="faq", outcome="miss", tier="none") == 1
    first.close()
    await engine.get_or_call(Request("faq", text="a"), lambda: "b")
    assert len(collected.named("semantic_llm_cache.lookup")) == 1
    assert collected.point("entries", backend="memory") is None
    with otel.instrument(collected.tracers, collected.meters, cache=engine):
        await engine.get_or_call(Request("faq", text="a"), lambda: "b")
        await SemanticCache("memory://").get_or_call(Request("other", text="a"), lambda: "b")
        assert collected.point("entries", backend="memory") == 1
    assert len(collected.named("semantic_llm_cache.lookup")) == 2
    assert collected.point("lookups", namespace="faq", outcome="exact", tier="exact") == 1
    assert EVERYWHERE.listeners == ()
    assert caplog.records == []


async def test_without_an_sdk_it_does_nothing():
    with otel.instrument():
        assert await SemanticCache("memory://").get_or_call(Request("faq", text="a"), lambda: "b") == "b"


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ImportError, match="pip install opentelemetry-api"):
        otel.instrument()
    monkeypatch.undo()
    with pytest.raises(TypeError, match="cache="):
        otel.instrument(cache=3)
    with pytest.raises(TypeError, match=r"tracer_provider= must have get_tracer\(\).*cache="):
        otel.instrument(SemanticCache("memory://"))
    with pytest.raises(TypeError, match=r"meter_provider= must have get_meter\(\)"):
        otel.instrument(None, Collected().tracers)
    assert EVERYWHERE.listeners == ()


async def test_caches_and_providers_are_not_kept_alive():
    collected, engine = Collected(), SemanticCache("memory://")
    attachment = otel.instrument(collected.tracers, collected.meters, cache=engine)
    await engine.get_or_call(Request("faq", text="a"), lambda: "b")
    gone = [weakref.ref(engine), weakref.ref(collected.tracers), weakref.ref(collected.meters)]
    del engine
    attachment.close()
    collected.tracers.shutdown()
    collected.meters.shutdown()
    del collected, attachment
    gc.collect()
    assert [one() for one in gone] == [None] * 3
