"""What a listener adds to an exact hit in memory: Prometheus, OpenTelemetry's API, `on_event=`, one JSON event each.

Every side is a function of its own with a cache of its own, and the listener listens to that cache alone. The bare hit
has a turn in every round; what is added is the difference to it within the round. Emptying the queue of the Prometheus
exporter is part of it, since it is emptied during the calls.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable
from statistics import median
from typing import Any

from benchmarks.data import ANSWER
from benchmarks.exact import CALLS, PROMPT, ROUNDS
from benchmarks.harness import Bench, Contender, Figure, at_most
from semantic_llm_cache import Lookup, SemanticCache
from semantic_llm_cache.telemetry import events

BARE = "no listener"


def run(bench: Bench) -> None:
    """Measure hits with and without listeners, in turn."""
    attachments: list[Any] = []

    def side(name: str, attach: Callable[[SemanticCache], Any] | None = None, **options: Any) -> Contender:
        cache = SemanticCache("memory://", ttl="1h", **options)

        @cache.cache()
        async def ask(prompt: str) -> str:
            return ANSWER

        if attach is not None:
            attachments.append(attach(cache))
        return bench.awaits(name, ask, [PROMPT], CALLS)

    def ignore(lookup: Lookup) -> None:
        pass

    contenders = [side(BARE), side("on_event=, a function that does nothing", on_event=ignore)]
    try:
        if _installed("prometheus_client"):
            contenders.append(side("Prometheus", _prometheus))
        else:
            bench.missing("Prometheus", "prometheus_client is not installed")
        if _installed("opentelemetry.sdk"):
            contenders.append(side("OpenTelemetry, spans not sampled", _otel))
        else:
            bench.missing("OpenTelemetry", "opentelemetry-sdk is not installed")
        contenders.append(side("JSON events, written nowhere", _log))
        bench.say("hits with listeners")
        times = bench.interleave(contenders, ROUNDS)
    finally:
        for attachment in attachments:
            attachment.close()
    for contender in contenders[1:]:
        pairs = list(zip(times[contender.name], times[BARE], strict=True))
        added = [with_it - bare for with_it, bare in pairs]
        target = at_most(3e-6, "s") if contender.name == "Prometheus" else None
        ratios = [with_it / bare for with_it, bare in pairs]
        bench.add(
            Figure(
                bench.subset, f"added to a hit: {contender.name}", median(added), "s", "the hit itself",
                median(times[BARE]), median(ratios), min(ratios), max(ratios), target,
            )
        )  # fmt: skip


def _installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _prometheus(cache: SemanticCache) -> Any:
    from prometheus_client import CollectorRegistry

    from semantic_llm_cache.telemetry import prometheus

    return prometheus.instrument(CollectorRegistry(), cache=cache)


def _otel(cache: SemanticCache) -> Any:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    from semantic_llm_cache.telemetry import otel

    return otel.instrument(TracerProvider(sampler=ALWAYS_OFF), MeterProvider(), cache=cache)


def _log(cache: SemanticCache) -> Any:
    logger = logging.getLogger("semantic_llm_cache.benchmark")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    logger.addHandler(logging.NullHandler())
    return events.log_lookups(logger, cache=cache)
