"""The page, the dashboard and the alert rules name what the code exports."""

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from semantic_llm_cache.calls.refusals import REASONS
from semantic_llm_cache.telemetry.measures import MOST_NAMESPACES
from semantic_llm_cache.telemetry.table import BY_KEY, LABELS, METRICS

PROJECT = Path(__file__).resolve().parent.parent.parent
EXAMPLES = PROJECT / "examples"
SERIES = {name: metric for metric in METRICS for name in metric.series}
_WORD = re.compile(r"\bsemantic_llm_cache_[a-z0-9_]+")
_SELECTOR = re.compile(r"\b(semantic_llm_cache_[a-z0-9_]+)\{([^}]*)\}")
_MATCHER = re.compile(r'\s*([a-z_]+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"\s*')
_GROUPED = re.compile(r"\b(?:by|on|without|ignoring|group_left)\s*\(([^)]*)\)")
OUTCOMES = {"exact", "near", "coalesced", "stale", "miss", "bypass", "error"}


def rules():
    return yaml.safe_load((EXAMPLES / "alerts.yml").read_text())


def queries():
    dashboard = json.loads((EXAMPLES / "grafana.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["query"]
    for group in rules()["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


def test_the_page_is_written_from_the_table():
    script = PROJECT / "scripts" / "write_metrics.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("where", "query"), list(queries()))
def test_a_query_names_metrics_and_labels_that_there_are(where, query):
    names = _WORD.findall(query)
    assert names
    assert set(names) <= SERIES.keys()
    for name, matchers in _SELECTOR.findall(query):
        for matcher in filter(None, re.split(r",(?=\s*[a-z_]+\s*[=!])", matchers)):
            label, text = _MATCHER.fullmatch(matcher).groups()
            assert label in SERIES[name].labels, (name, label)
            if label == "outcome" and "$" not in text:
                assert set(text.split("|")) <= OUTCOMES
            if label == "reason":
                assert set(text.split("|")) <= REASONS.keys()
    allowed = {"le", *(label for name in names for label in SERIES[name].labels)}
    for labels in _GROUPED.findall(query):
        assert {label.strip() for label in labels.split(",") if label.strip()} <= allowed
    assert query.count("(") == query.count(")")
    assert query.count("{") == query.count("}")


def test_there_is_an_alert_for_each_trouble():
    found = [rule["alert"] for rule in rules()["groups"][0]["rules"]]
    for name in ("StorageOutage", "WrongHitsAboveBound", "HitRateFell", "ErrorBudgetExhausted"):
        assert f"SemanticCache{name}" in found


def test_the_dashboard_shows_every_metric():
    shown = {SERIES[name].key for where, query in queries() for name in _WORD.findall(query)}
    assert shown == BY_KEY.keys()


def test_series_are_few_by_construction():
    count = {"namespace": MOST_NAMESPACES + 1, "outcome": 7, "tier": 1, "reason": len(REASONS), "type": 2, "verdict": 2}
    count |= {"backend": 5, "operation": 5}  # the tier follows from the outcome
    total = sum(
        math.prod(count[label] for label in metric.labels) * (len(metric.buckets) + 3 if metric.buckets else 1)
        for metric in METRICS
    )
    assert total < 4600


def test_the_table_is_well_formed():
    assert len({metric.prometheus for metric in METRICS}) == len({metric.otel for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert re.fullmatch(r"semantic_llm_cache(_[a-z0-9]+)+", metric.prometheus)
        assert re.fullmatch(r"semantic_llm_cache(\.[a-z0-9_]+)+", metric.otel)
        assert metric.prometheus.endswith("_total") is (metric.kind == "counter")
        assert bool(metric.buckets) is (metric.kind == "histogram")
        assert list(metric.buckets) == sorted(metric.buckets)
        assert set(metric.labels) <= LABELS.keys()
        assert metric.help.endswith(".")
        if metric.unit == "s":
            assert "_seconds" in metric.prometheus
