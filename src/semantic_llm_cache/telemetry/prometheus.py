"""Metrics for Prometheus, through ``prometheus_client``.

    from semantic_llm_cache.telemetry import prometheus
    prometheus.instrument()

A call costs little: its figures go into a queue, which is emptied when the metrics are read, or when it is long. With
``PROMETHEUS_MULTIPROC_DIR`` set, nobody may read them in this process, so the queue is emptied once a second as well.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from semantic_llm_cache._installation import install
from semantic_llm_cache.arguments import kind_of
from semantic_llm_cache.engine.listening import Audience, Event, Listener
from semantic_llm_cache.runtime import background
from semantic_llm_cache.runtime.breaker import logger
from semantic_llm_cache.runtime.fork import fork_safe_lock
from semantic_llm_cache.telemetry.attaching import Attachment, attach, engines_of
from semantic_llm_cache.telemetry.gauges import Sizes, gauges
from semantic_llm_cache.telemetry.measures import Measure, Names, addable, measures
from semantic_llm_cache.telemetry.table import METRICS, Metric

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from semantic_llm_cache.config import CacheEntry

__all__ = ["instrument"]

_LONG = 256
"""Queued calls that are worth a pass: handling them takes less than a millisecond."""
_EVERY = 1.0
"""Seconds between two passes where nobody reads the metrics in this process."""


def instrument(registry: CollectorRegistry | None = None, *, cache: Any = None) -> Attachment:
    """Export the metrics in ``docs/metrics.md``.

    Args:
        registry: where to; None means ``prometheus_client.REGISTRY``. Whatever serves that registry
            (``start_http_server``, ``make_asgi_app``, ``generate_latest``) then shows them.
        cache: a `SemanticCache`, with all that is derived from it; None means all caches of the process, also those
            made later.

    Returns:
        An `Attachment`: ``close()`` ends it and takes the metrics off the registry. A second call with the same
        registry and cache returns the same one, and counts nothing twice.

    Raises:
        ImportError: ``prometheus_client`` is not installed; the message says what to install.
        ValueError: the registry has other metrics with these names.
        TypeError: `cache` is no cache, or `registry` no registry.

    In several processes (gunicorn), set ``PROMETHEUS_MULTIPROC_DIR`` before ``prometheus_client`` is imported, call
    this in each process or before they are forked, and serve a registry of its own with ``MultiProcessCollector``.

    Example:
        >>> from prometheus_client import CollectorRegistry, generate_latest
        >>> from semantic_llm_cache import Request, SemanticCache
        >>> registry, cache = CollectorRegistry(), SemanticCache("memory://")
        >>> attachment = instrument(registry, cache=cache)
        >>> cache.get_or_call_blocking(Request("faq", text="What is Python?"), lambda: "A language.")
        'A language.'
        >>> registry.get_sample_value(
        ...     "semantic_llm_cache_lookups_total", {"namespace": "faq", "outcome": "miss", "tier": "none"}
        ... )
        1.0
        >>> attachment.close()
    """
    try:
        import prometheus_client
    except ImportError as error:
        raise ImportError(
            f'this needs prometheus_client, the extra "prometheus" of this package: {install("prometheus")}'
        ) from error
    if registry is None:
        registry = prometheus_client.REGISTRY
    elif not callable(getattr(registry, "register", None)):
        raise TypeError(f"registry= must be a CollectorRegistry, not {kind_of(registry)}; a cache is given as cache=")
    with _lock:
        exporter = _exporters.get(registry)
        if exporter is None:
            exporter = Exporter()
            registry.register(exporter)
            _exporters[registry] = exporter
    where = weakref.ref(registry)

    def ended() -> None:
        found = where()
        if found is not None:
            with _lock:
                gone = _exporters.pop(found, None)
            if gone is not None:
                found.unregister(gone)

    try:
        return attach(exporter, cache, exporter.attached, ended)
    except TypeError:
        if not exporter.attached:
            ended()
        raise


_lock = fork_safe_lock(outer=True)
_exporters: weakref.WeakKeyDictionary[CollectorRegistry, Exporter] = weakref.WeakKeyDictionary()


class Exporter(Listener):
    """Counts calls, and is a collector of ``prometheus_client``.

    Attributes:
        attached: what it listens to.
    """

    def __init__(self) -> None:
        from prometheus_client import values

        self.attached: weakref.WeakKeyDictionary[Audience, Attachment] = weakref.WeakKeyDictionary()
        self._queue: deque[tuple[Any, ...]] = deque()
        self._names = Names()
        self._sizes = Sizes()
        self._shared = bool(getattr(values.ValueClass, "_multiprocess", False))
        self._scheduled = False
        self._lock = fork_safe_lock(outer=True)
        self._metrics = {metric.key: _made(metric) for metric in METRICS if metric.kind != "gauge"}
        self._gauges = (
            {metric.key: _made(metric) for metric in METRICS if metric.kind == "gauge"} if self._shared else {}
        )
        self._series: dict[tuple[str, tuple[str, ...]], Any] = {}
        _alive.add(self)

    # ------------------------------------------------------------------------------ calls

    def exact_hit(self, namespace: str, entry: CacheEntry, took_ms: float) -> None:
        """Queue an exact hit that the process holds. The fast path."""
        queue = self._queue
        queue.append(
            (namespace, took_ms, entry.duration_ms - took_ms, entry.cost_usd, entry.input_tokens, entry.output_tokens)
        )
        if len(queue) >= _LONG or (self._shared and not self._scheduled):
            self._due()

    def ended(self, event: Event) -> None:
        """Queue any other call."""
        # Not the event: it would keep the lookup alive.
        self._queue.append(tuple(measures(event, self._names.label(event.lookup.namespace))))
        if len(self._queue) >= _LONG or (self._shared and not self._scheduled):
            self._due()

    def _due(self) -> None:
        if len(self._queue) >= _LONG and self._lock.acquire(blocking=False):  # else another thread is at it
            try:
                self._empty()
            finally:
                self._lock.release()
        if self._shared and not self._scheduled:
            self._scheduled = True
            background.call_later(_EVERY, self._write)

    # ------------------------------------------------------------------------------ writing

    def flush(self) -> None:
        """Write what is queued."""
        with self._lock:
            self._empty()

    def _empty(self) -> None:
        """Write what is queued. The caller holds the lock."""
        queue = self._queue
        hits: dict[str, list[tuple[Any, ...]]] = {}
        for _ in range(len(queue)):
            item = queue.popleft()
            if item and type(item[0]) is str:
                hits.setdefault(item[0], []).append(item)
            else:
                for measure in item:
                    self._add(measure)
        for namespace, found in hits.items():
            self._add_exact(self._names.label(namespace), found)

    def _add_exact(self, namespace: str, hits: list[tuple[Any, ...]]) -> None:
        """Add exact hits of one namespace: together what `measures` gives of each."""
        labels = (namespace,)
        self._add(Measure("lookups", len(hits), (namespace, "exact", "exact")))
        self._add(Measure("saved_seconds", sum(addable(hit[2]) for hit in hits) / 1000, labels))
        self._add(Measure("saved_usd", sum(addable(hit[3]) for hit in hits), labels))
        self._add(Measure("saved_tokens", sum(addable(hit[4]) for hit in hits), (namespace, "input")))
        self._add(Measure("saved_tokens", sum(addable(hit[5]) for hit in hits), (namespace, "output")))
        observe = self._one("lookup", ("exact",)).observe
        for hit in hits:
            observe(hit[1] / 1000)

    def _add(self, measure: Measure) -> None:
        series = self._one(measure.key, measure.labels)
        if measure.key in _HISTOGRAMS:
            series.observe(measure.value)
        else:
            series.inc(measure.value)

    def _one(self, key: str, labels: tuple[str, ...]) -> Any:
        """Return the series of a metric with these labels."""
        place = (key, labels)
        series = self._series.get(place)
        if series is None:
            metric = self._metrics[key]
            series = self._series[place] = metric.labels(*labels) if labels else metric
        return series

    async def _write(self) -> None:
        """Write what is queued, and the gauges, to the files that all processes share."""
        self._scheduled = False
        try:
            self.flush()
            for measure in self._read_gauges():
                self._gauges[measure.key].labels(*measure.labels).set(measure.value)
        except Exception as error:  # a full disk
            logger.debug("semantic-llm-cache: metrics were not written: %s", type(error).__name__)

    def _read_gauges(self) -> list[Measure]:
        return gauges(engines_of(self), self._names, self._sizes)

    def reset_after_fork(self) -> None:
        """Forget what is queued: the parent counts it."""
        self._queue.clear()
        self._scheduled = False
        self._sizes.reset_after_fork()

    # ------------------------------------------------------------------------------ as a collector

    def describe(self) -> Iterable[Any]:
        """Return the metrics without values: a registry refuses names that it has."""
        for metric in METRICS:
            yield _family(metric) if metric.kind == "gauge" else self._metrics[metric.key].describe()[0]

    def collect(self) -> Iterable[Any]:
        """Return the metrics with their values."""
        self.flush()
        found = {metric.key: _family(metric) for metric in METRICS if metric.kind == "gauge"}
        for measure in self._read_gauges():
            found[measure.key].add_metric(measure.labels, measure.value)
        for metric in METRICS:
            if metric.kind == "gauge":
                yield found[metric.key]
            else:
                yield from self._metrics[metric.key].collect()


_HISTOGRAMS = frozenset(metric.key for metric in METRICS if metric.kind == "histogram")


def _made(metric: Metric) -> Any:
    """Return a metric of ``prometheus_client`` that is in no registry."""
    import prometheus_client

    options: dict[str, Any] = {"labelnames": metric.labels, "registry": None}
    if metric.kind == "counter":
        return prometheus_client.Counter(metric.prometheus, metric.help, **options)
    if metric.kind == "histogram":
        return prometheus_client.Histogram(metric.prometheus, metric.help, buckets=metric.buckets, **options)
    return prometheus_client.Gauge(metric.prometheus, metric.help, multiprocess_mode=metric.processes, **options)


def _family(metric: Metric) -> Any:
    from prometheus_client.core import GaugeMetricFamily

    return GaugeMetricFamily(metric.prometheus, metric.help, labels=metric.labels)


_alive: weakref.WeakSet[Exporter] = weakref.WeakSet()


def _at_exit() -> None:
    for exporter in list(_alive):
        try:
            if exporter._shared:
                exporter.flush()
        except Exception as error:
            logger.debug("semantic-llm-cache: metrics were not written at exit: %s", type(error).__name__)


def _after_fork() -> None:
    for exporter in list(_alive):
        exporter.reset_after_fork()


background.at_exit(_at_exit)
background.after_fork(_after_fork)
