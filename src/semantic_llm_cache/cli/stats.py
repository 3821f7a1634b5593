"""`semantic-llm-cache stats`: how much a cache holds, and what it has saved."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Any

import click

from semantic_llm_cache.cli.common import cache_options, namespace_option, open_backend, run_async
from semantic_llm_cache.cli.output import clean, milliseconds, money, number, print_json, print_table, say
from semantic_llm_cache.cli.parsing import Args, command

if TYPE_CHECKING:
    from semantic_llm_cache.metrics.rates import Rates
    from semantic_llm_cache.metrics.table import Metric
    from semantic_llm_cache.storage.contract import StorageBackend

__all__ = ["stats_command"]

_MOST_CATEGORIES = 10
_SAMPLE = 1000  # entries that the prices are read off


@command("stats", "stats --db cache.db", "stats --url sqlite:///cache.db --json")
@cache_options()
@namespace_option
def stats_command(args: Args) -> int:
    """Show how many entries a cache holds, the hits, misses and savings that all programs using it have counted so
    far, and the prices behind the savings.
    """
    return run_async(_stats(args))


async def _stats(args: Args) -> int:
    from semantic_llm_cache.matching.online.kept import kept_budgets
    from semantic_llm_cache.metrics.learned import kept_summary

    async with open_backend(args) as backend:
        stats = await backend.get_stats()
        counters = await backend.get_counters()
        name = backend.url
        prices = await _prices(backend, args.namespace)
        categories = await kept_summary(backend, args.namespace)
        budgets = await kept_budgets(backend, args.namespace)
    if args.namespace is not None:
        counters = {space: counts for space, counts in counters.items() if space == args.namespace}
    rows = {space: _rates(counts) for space, counts in sorted(counters.items())}
    if args.json:
        print_json(
            {
                "cache": name,
                "backend": stats,
                "namespaces": rows,
                "categories": categories,
                "error_budgets": budgets,
                "prices": {space: rates._asdict() for space, rates in prices.items()},
            }
        )
        return 0
    size = f"{number(stats['size'])} entries"
    if isinstance(stats.get("bytes"), int):
        size += f", {stats['bytes'] / 1e6:,.1f} MB"
    if stats.get("max_size") is not None:
        size += f", at most {number(stats['max_size'])} entries"
    say(click.style(f"{clean(name)}: {size}", bold=True))
    if not rows:
        say("No calls counted yet.")
        return 0
    if len(rows) > 1:
        rows["all"] = _rates(_total(counters))
    _print_counts(rows)
    _print_prices(prices)
    _print_categories(categories)
    _print_budgets(budgets)
    return 0


def _print_categories(categories: list[dict[str, Any]]) -> None:
    """Print what the largest clusters of prompts are about, as one process saw them."""
    named = [record for record in categories if record["label"]][:_MOST_CATEGORIES]
    if not named:
        return
    lines = [
        (
            clean(record["label"]),
            number(record["requests"]),
            f"{100 * record['near_hit_rate']:.1f} %",
            "" if record["wrong_rate"] is None else f"{100 * record['wrong_rate']:.1f} % of {record['judged']}",
        )
        for record in named
    ]
    say()
    print_table(("prompts about", "calls", "near hits", "wrong"), lines, right=range(1, 4))


def _print_budgets(budgets: list[dict[str, Any]]) -> None:
    """Print the error budgets: what each allows, what was served, and the model's noise where it is measured."""
    if not budgets:
        return
    lines = [
        (
            clean(" ".join(filter(None, (record["namespace"], record["category"])))),
            ", ".join(_share(record[name], per) for name, per in (("max_error", ""), ("max_error_per_hit", " of hits"))
                      if record[name] is not None),
            number(record["requests"]),
            number(record["hits"]),
            f"{record['wrong']:.1f}",
            "" if record.get("noise") is None else f"{_share(record['noise'])} of {record['noise_pairs']}",
        )
        for record in budgets
    ]  # fmt: skip
    say()
    print_table(("error budget", "bound", "calls", "near hits", "wrong", "noise"), lines, right=range(1, 6))


def _share(value: float, of: str = "") -> str:
    return f"{100 * value:.3g} %{of}"


def _print_counts(rows: dict[str, dict[str, float]]) -> None:
    columns = _columns()
    heads = ("namespace", "calls", "hit rate", *(str(metric.column) for metric in columns))
    lines = [
        (
            clean(space),
            number(counts["total_requests"]),
            f"{100 * counts['hit_rate']:.1f} %",
            *(_FORMS[metric.unit](counts.get(str(metric.kept), 0)) for metric in columns),
        )
        for space, counts in rows.items()
    ]
    say()
    print_table(heads, lines, right=range(1, len(heads)))


def _columns() -> list[Metric]:
    """Return the metrics that have a column, hits by kind first."""
    from semantic_llm_cache.metrics.table import METRICS

    shown = [metric for metric in METRICS if metric.column is not None]
    return sorted(shown, key=lambda metric: not metric.hit)


def _total(counters: dict[str, dict[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for counts in counters.values():
        for key, value in counts.items():
            total[key] = total.get(key, 0) + value
    return total


def _rates(counts: dict[str, float]) -> dict[str, float]:
    hits = counts.get("hits", 0)
    requests = hits + counts.get("misses", 0)
    whole = {key: int(value) if value == int(value) else value for key, value in counts.items()}
    return {**whole, "total_requests": int(requests), "hit_rate": hits / requests if requests else 0.0}


_FORMS: dict[str, Callable[[float], str]] = {
    "": number,
    "ms": milliseconds,
    "usd": lambda value: money(value).lstrip("$"),
}
"""Format of a figure, by the unit of its metric."""


# ------------------------------------------------------------------------------ prices


async def _prices(backend: StorageBackend, namespace: str | None) -> dict[str, Rates]:
    """Return the prices by namespace, read off some of the entries."""
    from semantic_llm_cache.metrics.rates import Call, rates_of

    calls: dict[str, list[Call]] = {}
    seen = 0
    entries = backend.scan(namespace=namespace)
    async for _, entry in entries:
        calls.setdefault(entry.namespace, []).append(Call.of(entry))
        seen += 1
        if seen >= _SAMPLE:
            break
    if isinstance(entries, AsyncGenerator):
        await entries.aclose()  # before the backend is closed
    found = {space: rates_of(some) for space, some in sorted(calls.items())}
    return {space: rates for space, rates in found.items() if rates is not None}


def _print_prices(prices: dict[str, Rates]) -> None:
    texts = {space: str(rates) for space, rates in prices.items()}
    if not texts:
        say("\nPrices: unknown, since no entry in the cache counts tokens.")
    elif len(set(texts.values())) == 1:
        say(f"\nPrices: {next(iter(texts.values()))}.")
    else:
        say("\nPrices:")
        for space, text in texts.items():
            say(f"  {clean(space)}: {text}")
