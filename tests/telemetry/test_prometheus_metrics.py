"""Metrics in Prometheus: the real client and its parser."""

import asyncio
import gc
import os
import sys
import threading
import weakref

import pytest
from engine_helpers import FaultyBackend
from prometheus_client import CollectorRegistry, Counter, generate_latest, make_asgi_app
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from semantic_llm_cache import CacheContext, Request, SemanticCache
from semantic_llm_cache.engine.listening import EVERYWHERE, Event
from semantic_llm_cache.telemetry import prometheus
from semantic_llm_cache.telemetry.measures import MOST_NAMESPACES, Names, measures
from semantic_llm_cache.telemetry.table import BY_KEY, METRICS

PRICED = {"usage": {"input_tokens": 1000, "output_tokens": 2000}}


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def everywhere(registry):
    with prometheus.instrument(registry):
        yield registry


def value(registry, key, **labels):
    metric = BY_KEY[key]
    name = metric.prometheus + ("_count" if metric.kind == "histogram" else "")
    return registry.get_sample_value(name, labels)


def families(registry):
    return {family.name: family for family in text_string_to_metric_families(generate_latest(registry).decode())}


def vector(text):
    return [1.0, 0.001 * len(text)]


async def exercise(engine):
    for text in ("what is a list", "what is a list", "what is a list ", "what is a list?"):
        await engine.get_or_call(Request("faq", text=text), lambda: dict(PRICED))


async def test_the_exposition_is_what_the_table_says(everywhere):
    engine = SemanticCache("memory://", embedder=vector, similarity=0.9, mode="serve")
    await exercise(engine)
    shadow = SemanticCache("memory://", mode="shadow", namespace="shadow")
    for _ in range(2):
        await shadow.get_or_call(Request("shadow", text="a"), lambda: "b")
    found = {name: one for name, one in families(everywhere).items() if not name.endswith("_created")}
    assert found.keys() == {metric.prometheus.removesuffix("_total") for metric in METRICS}
    for metric in METRICS:
        family = found[metric.prometheus.removesuffix("_total")]
        assert (family.type, family.documentation) == (metric.kind, metric.help)
        for sample in family.samples:
            assert sample.name in metric.series
            assert tuple(name for name in sample.labels if name != "le") == metric.labels
        if metric.buckets:
            bounds = {float(one.labels["le"]) for one in family.samples if "le" in one.labels}
            assert bounds == {*metric.buckets, float("inf")}
        if metric.key not in ("error_budget_spent_ratio",):  # there is no error budget here
            assert family.samples
    list(parse_openmetrics(generate_openmetrics(everywhere).decode()))  # also strict about names


async def test_lookups_and_what_they_saved(everywhere):
    engine = SemanticCache("memory://")

    async def call():
        await asyncio.sleep(0.02)
        return PRICED

    for _ in range(3):
        await engine.get_or_call(Request("faq", text="a"), call)
    assert value(everywhere, "lookups", namespace="faq", outcome="miss", tier="none") == 1
    assert value(everywhere, "lookups", namespace="faq", outcome="exact", tier="exact") == 2
    assert value(everywhere, "saved_tokens", namespace="faq", type="input") == 2000
    assert value(everywhere, "saved_tokens", namespace="faq", type="output") == 4000
    assert value(everywhere, "saved_usd", namespace="faq") == pytest.approx(0.01)
    assert 0.03 < value(everywhere, "saved_seconds", namespace="faq") < 1
    assert value(everywhere, "lookup", outcome="exact") == 2
    assert value(everywhere, "lookup", outcome="miss") == 1
    assert value(everywhere, "call") == 1
    took = everywhere.get_sample_value("semantic_llm_cache_lookup_duration_seconds_sum", {"outcome": "miss"})
    assert took < 0.02 <= everywhere.get_sample_value("semantic_llm_cache_call_duration_seconds_sum") + 0.001


async def test_the_fast_path_adds_what_the_slow_one_does(everywhere):
    engine = SemanticCache("memory://")
    events = []

    class Keeping:
        def ended(self, event):
            events.append(event)

        def begin(self, call):
            return None

        def exact_hit(self, namespace, entry, took_ms):
            from semantic_llm_cache import last_lookup

            events.append(Event(last_lookup(), (entry.input_tokens, entry.output_tokens), []))

    engine.hook.own.add(Keeping())
    for _ in range(2):
        await engine.get_or_call(Request("faq", text="a"), lambda: PRICED)
    for measure in measures(events[1], "faq"):
        labels = dict(zip(BY_KEY[measure.key].labels, measure.labels, strict=True))
        if measure.key in ("lookup", "saved_seconds"):
            continue  # times: `test_lookups_and_what_they_saved`
        assert value(everywhere, measure.key, **labels) == pytest.approx(measure.value), measure


async def test_why_answers_were_not_stored(everywhere):
    engine = SemanticCache("memory://", cache_if=lambda answer: False)
    await engine.get_or_call(Request("faq", text="a"), lambda: "b")
    with CacheContext(enabled=False):
        await engine.get_or_call(Request("faq", text="a"), lambda: "b")
    assert value(everywhere, "refusals", namespace="faq", reason="cache-if") == 1
    assert value(everywhere, "refusals", namespace="faq", reason="bypass") == 1
    assert value(everywhere, "lookups", namespace="faq", outcome="bypass", tier="none") == 1
    assert value(everywhere, "lookup", outcome="bypass") is None


async def test_gauges(everywhere):
    before = value(everywhere, "entries", backend="memory") or 0  # caches of other tests
    bounded = SemanticCache("memory://", embedder=vector, max_error=0.05, namespace="bounded", seed=1)
    await bounded.get_or_call(Request("bounded", text="a"), lambda: "b")
    assert value(everywhere, "error_budget_spent_ratio", namespace="bounded") == 0
    assert value(everywhere, "entries", backend="memory") == before + 1
    assert value(everywhere, "breaker_open", backend="memory", operation="embed") == 0
    shadow = SemanticCache("memory://", mode="shadow", namespace="watched")
    for answer in ("b", "b", "c"):
        await shadow.get_or_call(Request("watched", text="a"), lambda answer=answer: answer)
    from engine_helpers import background_work_ended

    await background_work_ended()
    judged = value(everywhere, "shadow_judged", namespace="watched", verdict="right")
    assert judged + (value(everywhere, "shadow_judged", namespace="watched", verdict="wrong") or 0) == 2
    low, middle, high = (
        value(everywhere, key, namespace="watched")
        for key in ("wrong_hit_ratio_lower", "wrong_hit_ratio", "wrong_hit_ratio_upper")
    )
    assert 0 <= low <= middle <= high <= 1


async def test_an_outage_opens_a_breaker(everywhere):
    backend = FaultyBackend(fault=OSError("gone"))
    engine = SemanticCache(backend, namespace="down")
    for i in range(4):
        await engine.get_or_call(Request("down", text=f"a{i}"), lambda: "b")
    assert value(everywhere, "breaker_open", backend="other", operation="read") == 1
    assert value(everywhere, "lookups", namespace="down", outcome="error", tier="none") == 4
    assert value(everywhere, "refusals", namespace="down", reason="backend") == 4


async def test_a_gauge_that_cannot_be_read_costs_no_other_metric(everywhere):
    class Broken(FaultyBackend):
        async def get_stats(self):
            raise OSError("gone")

    engine = SemanticCache(Broken(), namespace="broken")
    engine.learning.spent = lambda: 1 / 0
    await engine.get_or_call(Request("broken", text="a"), lambda: "b")
    labels = {"namespace": "broken", "outcome": "miss", "tier": "none"}
    assert await asyncio.to_thread(value, everywhere, "lookups", **labels) == 1


async def test_a_strange_price_spoils_no_counter(everywhere):
    for number, price in enumerate((float("nan"), float("inf"), -1.0)):
        engine = SemanticCache("memory://", price=lambda given, made, answer, price=price: price)
        for _ in range(2):
            await engine.get_or_call(Request(f"odd {number}", text="a"), lambda: "b")
        assert value(everywhere, "saved_usd", namespace=f"odd {number}") == 0


async def test_entries_of_a_server_are_counted_in_the_background(only_own_engines, everywhere):
    engine = SemanticCache(FaultyBackend(), namespace="far")
    await engine.get_or_call(Request("far", text="a"), lambda: "b")
    assert await asyncio.to_thread(value, everywhere, "entries", backend="other") == 1


async def test_namespaces_are_limited(everywhere):
    engine = SemanticCache("memory://")
    for i in range(MOST_NAMESPACES + 20):
        for _ in range(2):
            await engine.get_or_call(Request(f"tenant {i}", text="a"), lambda: "b")
    samples = families(everywhere)["semantic_llm_cache_lookups"].samples
    names = {sample.labels["namespace"] for sample in samples if sample.name.endswith("_total")}
    assert len(names) == MOST_NAMESPACES + 1
    assert value(everywhere, "lookups", namespace="other", outcome="exact", tier="exact") == 20


async def test_a_namespace_cannot_spoil_the_exposition(everywhere):
    engine = SemanticCache("memory://")
    names = ('quote " and \\ and \n', "lone \ud800 surrogate", "x" * 5000, "\x00")
    for name in names[:1] + names[2:]:
        await engine.get_or_call(Request(name, text="a"), lambda: "b")
    assert Names().label(names[1]) == "lone ? surrogate"
    samples = families(everywhere)["semantic_llm_cache_lookups"].samples
    assert {names[0], "x" * 100, "\x00"} == {s.labels["namespace"] for s in samples if s.name.endswith("_total")}


async def test_twice_is_once_and_close_ends_it(registry):
    engine = SemanticCache("memory://")
    first, second = prometheus.instrument(registry), prometheus.instrument(registry)
    assert first is second
    third = prometheus.instrument(registry, cache=engine)
    await engine.get_or_call(Request("faq", text="a"), lambda: "b")
    assert value(registry, "lookups", namespace="faq", outcome="miss", tier="none") == 1
    first.close()
    first.close()
    await engine.get_or_call(Request("faq", text="a"), lambda: "b")
    assert value(registry, "lookups", namespace="faq", outcome="exact", tier="exact") == 1
    third.close()
    assert generate_latest(registry) == b""
    assert EVERYWHERE.listeners == ()
    await engine.get_or_call(Request("faq", text="a"), lambda: "b")
    with prometheus.instrument(registry):
        assert value(registry, "lookups", namespace="faq", outcome="exact", tier="exact") is None


async def test_one_cache_and_those_derived_from_it(registry):
    engine, other = SemanticCache("memory://"), SemanticCache("memory://")

    @engine.cache(namespace="mine")
    async def ask(prompt: str) -> str:
        return prompt

    with prometheus.instrument(registry, cache=engine):
        await ask("a")
        await other.get_or_call(Request("theirs", text="a"), lambda: "b")
        assert value(registry, "lookups", namespace="mine", outcome="miss", tier="none") == 1
        assert value(registry, "lookups", namespace="theirs", outcome="miss", tier="none") is None
        assert value(registry, "entries", backend="memory") == 1


def test_bad_arguments_leave_nothing_behind(registry):
    with pytest.raises(TypeError, match="cache="):
        prometheus.instrument(registry, cache="memory://")
    with pytest.raises(TypeError, match=r"registry= must be a CollectorRegistry.*cache="):
        prometheus.instrument(SemanticCache("memory://"))
    assert generate_latest(registry) == b""
    Counter("semantic_llm_cache_lookups", "somebody else's", registry=registry)
    with pytest.raises(ValueError, match="Duplicated"):
        prometheus.instrument(registry)
    assert EVERYWHERE.listeners == ()


def test_a_missing_package_is_named(registry, monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ImportError, match="pip install prometheus-client"):
        prometheus.instrument(registry)


async def test_nothing_keeps_caches_or_registries_alive():
    registry, engine = CollectorRegistry(), SemanticCache("memory://")
    attachment = prometheus.instrument(registry, cache=engine)
    for _ in range(2):
        await engine.get_or_call(Request("faq", text="a"), lambda: "b")
    gone = weakref.ref(engine)
    del engine
    gc.collect()
    assert gone() is None
    assert value(registry, "lookups", namespace="faq", outcome="exact", tier="exact") == 1
    assert value(registry, "entries", backend="memory") is None
    attachment.close()
    gone = weakref.ref(registry)
    del registry
    gc.collect()
    assert gone() is None


def test_threads_lose_no_count(everywhere):
    engine = SemanticCache("memory://")
    engine.get_or_call_blocking(Request("faq", text="a"), lambda: "b")

    def ask():
        for _ in range(1000):
            engine.get_or_call_blocking(Request("faq", text="a"), lambda: "b")

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        generate_latest(everywhere)
    assert value(everywhere, "lookups", namespace="faq", outcome="exact", tier="exact") == 4000
    assert value(everywhere, "lookup", outcome="exact") == 4000


async def test_served_by_an_asgi_app(everywhere):
    await SemanticCache("memory://").get_or_call(Request("faq", text="a"), lambda: "b")
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request"}

    app = make_asgi_app(everywhere)
    await app({"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}, receive, send)
    assert b"semantic_llm_cache_lookups_total" in b"".join(one.get("body", b"") for one in sent)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_counts_its_own(everywhere, script):
    status, out, err, _ = script("""
        import os
        from prometheus_client import CollectorRegistry
        from semantic_llm_cache import Request, SemanticCache
        from semantic_llm_cache.telemetry import prometheus
        registry, engine = CollectorRegistry(), SemanticCache("memory://")
        prometheus.instrument(registry)
        def ask():
            engine.get_or_call_blocking(Request("faq", text="a"), lambda: "b")
        def hits():
            labels = {"namespace": "faq", "outcome": "exact", "tier": "exact"}
            return registry.get_sample_value("semantic_llm_cache_lookups_total", labels)
        ask()
        ask()
        pid = os.fork()
        if not pid:
            ask()
            os._exit(int(hits()))
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), hits())
    """)
    assert (status, out.split(), err) == (0, ["1", "1.0"], "")


def test_a_group_of_processes(script, tmp_path):
    shared = tmp_path / "metrics"
    shared.mkdir()
    status, out, err, _ = script(
        """
        import os, sys
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector
        from semantic_llm_cache import Request, SemanticCache
        from semantic_llm_cache.telemetry import prometheus

        prometheus.instrument()  # before the workers are forked, as with gunicorn's preload
        engine = SemanticCache("memory://", namespace="faq")
        engine.get_or_call_blocking(Request("faq", text="a"), lambda: "b")
        workers = []
        for _ in range(2):
            pid = os.fork()
            if not pid:
                for _ in range(300):
                    engine.get_or_call_blocking(Request("faq", text="a"), lambda: "b")
                sys.exit(0)
            workers.append(pid)
        for pid in workers:
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        import time
        time.sleep(1.3)  # this process writes its own once a second
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        print(generate_latest(registry).decode())
        """,
        env={"PROMETHEUS_MULTIPROC_DIR": str(shared)},
    )
    assert (status, err) == (0, "")
    found = {}
    for family in text_string_to_metric_families(out):
        for sample in family.samples:
            found[sample.name, tuple(sample.labels.values())] = sample.value
    assert found["semantic_llm_cache_lookups_total", ("faq", "exact", "exact")] == 600
    assert found["semantic_llm_cache_lookups_total", ("faq", "miss", "none")] == 1
    assert found["semantic_llm_cache_lookup_duration_seconds_count", ("exact",)] == 600
    assert found["semantic_llm_cache_entries", ("memory",)] == 1
    assert found["semantic_llm_cache_breaker_open", ("memory", "read")] == 0
