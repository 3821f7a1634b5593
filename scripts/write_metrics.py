"""Write docs/metrics.md from the table of metrics: `python scripts/write_metrics.py [--check]`.

With --check nothing is written; the status is 1 when the page is not what the table says.
"""

from __future__ import annotations

import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [place for place in (str(PROJECT), str(PROJECT / "src")) if place not in sys.path]

from scripts.generated import write_or_check  # noqa: E402

from semantic_llm_cache.telemetry.spans import ATTRIBUTES, SPANS  # noqa: E402
from semantic_llm_cache.telemetry.table import LABELS, METRICS  # noqa: E402

PAGE = PROJECT / "docs" / "metrics.md"
INTRODUCTION = """\
# Metrics, traces, logs

Three listeners can be put on the caches of a process. None sends anything by itself, and none has a prompt or an
answer unless you ask for prompts.

```python
from semantic_llm_cache.telemetry import events, otel, prometheus

metrics = prometheus.instrument()  # metrics, in prometheus_client.REGISTRY; needs the extra "prometheus"
traces = otel.instrument()  # metrics and traces, through the OpenTelemetry API; needs the extra "otel"
log = events.log_lookups()  # one JSON event per call, in the logger "semantic_llm_cache.lookups"
```

The proxy needs no code: `semantic-llm-cache serve` has the metrics at `/metrics`
([proxy.md](proxy.md#admin-api-dashboard-and-metrics)).

Each takes `cache=`: a `SemanticCache`, with all that is derived from it. Without it, all caches of the process are
meant, also those made later. The same call twice counts nothing twice. What a listener raises is logged once and
never reaches a caller. To end it:

```python
for attachment in (metrics, traces, log):
    attachment.close()
```

All three, and `on_event=`, are fed by one hook: each call is announced once, when it has ended; in shadow mode, when
its answer has been judged. `on_event=` gets the `Lookup`; the listeners get the phases and tokens too. While nobody
listens, no phase is timed.

Written by `python scripts/write_metrics.py`; do not edit.
"""
METRICS_NOTES = """\
Labels are few by construction: all metrics of a process together have some 4,500 series at most.


"""
PROMETHEUS = """\
## Prometheus

`instrument(registry=None)` takes any `CollectorRegistry`; serve it as you serve others: `start_http_server`,
`make_asgi_app(registry)`, `generate_latest(registry)`. A call puts its figures into a queue, which is emptied when
the metrics are read, or when it is long: `python -m benchmarks telemetry` prints what that adds to a hit.

**Several processes** (gunicorn, uvicorn workers): set `PROMETHEUS_MULTIPROC_DIR` as `prometheus_client` says, call
`instrument()` in each worker, or before they are forked, and serve a registry with `MultiProcessCollector`. Figures
are written once a second and at a normal exit: a process that is killed, or ends by `os._exit`, loses its last
second. The limit of 100 namespaces is each process's own. Gauges show the largest value of all living processes,
`wrong_hit_ratio_lower` the smallest; for a group of processes, take the estimate from
`semantic_llm_cache_shadow_judged_total`: the increase with `verdict="wrong"`, divided by that of both verdicts.

The number of entries is counted in the background where that means asking a server. A scrape in a thread waits half a
second for the first count, one on an event loop does not wait: there the first scrape may lack the gauge.

`examples/grafana.json` is a dashboard for Grafana, `examples/alerts.yml` has alert rules: outage,
share of wrong hits above the bound, hit rate fell, budget exhausted. The tests check their names against this page.

"""
OTEL = """\
## OpenTelemetry

`instrument(tracer_provider=None, meter_provider=None, *, cache=None, prompts=False)`; None means the global provider.
The metrics are those above. Each call is a span; its parent is the span that is current for the caller.

| Span | Kind | What it covers |
|---|---|---|
"""
OTEL_NOTES = """\

The last four are children of the first. `embed` has the attributes of the GenAI conventions for embeddings. During
the search, `lookup` is the current span, so the spans of an instrumented client of the storage become its children; a
batch of embeddings serves several calls, so spans in it have no parent. While the function runs, `call` is the
current span, so the spans of an instrumented SDK become its children: these have the model's name and the tokens that
were billed. We do not repeat `gen_ai.usage.*` on our spans, since sums over spans would count it twice;
`gen_ai.usage.cache_read.input_tokens` means the provider's own prompt cache, not this one. A stream's span ends with
the stream. A call that raises or is cancelled has `error.type`, and no message: that may hold the prompt.


| Attribute | On | What it is |
|---|---|---|
"""
EVENTS = """\

## Logs

`log_lookups(logger=None, *, cache=None, prompts=False, level=logging.INFO)` writes one event per call. With a logger
of the standard library, the message is a JSON document, and the record has the same fields as `record.lookup`, for
formatters. Any other logger, such as one of structlog, is called as `logger.info("semantic_llm_cache.lookup",
**fields)`. The fields: `event`, `outcome`, `tier`, `namespace`, `category`, `id`, `similarity`, `age_s`,
`duration_ms`, `saved_ms`, `saved_usd`, `saved_input_tokens`, `saved_output_tokens`, `stored`, `stored_reason`,
`would`, `would_be_right`, and `embed_ms`, `search_ms`, `decide_ms`, `call_ms` where there was such a phase. What does
not apply is left out. With `prompts=True` also `prompt`, `matched_prompt` and `reason`, which may quote them. Answers
are never written.
"""


def _code(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def page() -> str:
    """Return the text of the page."""
    rows = [
        f"| `{m.prometheus}` | `{m.otel}` | {m.kind} | `{m.unit}` | {_code(m.labels)} | {m.help} |" for m in METRICS
    ]
    metrics = [
        "## Metrics",
        "",
        "| Prometheus | OpenTelemetry | Type | Unit | Labels | What it is |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
    ]
    labels = [f"- `{name}`: {text}." for name, text in LABELS.items()]
    buckets = ["", "Upper bounds of the buckets, in seconds:", ""]
    for m in METRICS:
        if m.buckets:
            buckets.append(f"- `{m.prometheus}`: {', '.join(f'{bound:g}' for bound in m.buckets)}.")
    spans = [f"| `{name}` | {kind} | {text} |" for name, (kind, text) in SPANS.items()]
    attributes = [f"| `{name}` | {where} | {text} |" for name, (where, text) in ATTRIBUTES.items()]
    return "\n".join(
        [
            INTRODUCTION,
            *metrics,
            METRICS_NOTES + "\n".join([*labels, *buckets, ""]),
            PROMETHEUS + OTEL + "\n".join(spans),
            OTEL_NOTES + "\n".join(attributes),
            EVENTS,
        ]
    )


def main() -> int:
    """Write the page, or check it."""
    return write_or_check(PAGE, page(), "write_metrics")


if __name__ == "__main__":
    sys.exit(main())
