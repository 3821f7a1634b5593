"""Format the result of a demo run for people, in 80 columns."""

from __future__ import annotations

import re
from collections.abc import Sequence

import click

from semantic_llm_cache.cli.demo.run import SPREAD, Result
from semantic_llm_cache.cli.demo.summary import TIERS, Summary, Tier, Trap
from semantic_llm_cache.cli.output import clean, columns, dim, fit, milliseconds, money

__all__ = ["instructive", "report"]

_NEAR_SHOWN = 2
_INSTRUCTIVE = 5
_WRONG_SHOWN = 8


def _header(summary: Summary, where: str) -> list[str]:
    """Return the two lines that say what was run; `where` names the cache."""
    settings = summary.settings
    low, high = ((1 + sign * SPREAD) * settings.delay_ms for sign in (-1, 1))
    took = milliseconds(summary.elapsed_ms)
    start = f"warm with {summary.warm_entries:,} entries" if summary.warm_entries else "cold"
    return [
        f"{summary.prompts} prompts, {settings.concurrency} at a time, took {took}; "
        f"a call takes {low:.0f} to {high:.0f} ms",
        f"similarity {settings.similarity:g}; cache {fit(clean(where), 26)}, started {start}",
    ]


def report(summary: Summary, where: str, rates: tuple[float, float]) -> list[str]:
    """Return the lines of the report.

    Args:
        summary: the figures.
        where: the cache, in a few words.
        rates: USD per 1,000 tokens of input and of output, for the note on the estimate.
    """
    return [
        *map(dim, _header(summary, where)),
        "",
        *_table(summary),
        "",
        *_savings(summary, rates),
        *_wrong_hits(summary),
        *_lessons(summary),
    ]


# ------------------------------------------------------------------------------ figures


def _table(summary: Summary) -> list[str]:
    lines = [dim(f"{'':<20}{'prompts':>9}{'share':>10}{'p50':>12}{'p99':>12}{'wrong':>9}")]
    names = {"exact": "exact hits", "near": "near hits", "coalesced": "coalesced"}
    for name in TIERS:
        lines.append(_row(names[name], summary.tiers[name], summary, "green"))
    lines.append(_row("misses (calls)", summary.tiers["miss"], summary, "yellow", wrong=False))
    for name, count in summary.others.items():
        lines.append(_row(name, Tier(count, 0, None, None), summary, "red", wrong=False))
    lines.append(dim("-" * 72))
    lines.append(_row("exact + near", summary.tiers["hit"], summary, None))
    return lines


def _row(name: str, tier: Tier, summary: Summary, colour: str | None, *, wrong: bool = True) -> str:
    share = f"{100 * tier.count / summary.prompts:.1f} %" if summary.prompts else "-"
    p50 = "-" if tier.p50_ms is None else milliseconds(tier.p50_ms)
    p99 = "-" if tier.p99_ms is None else milliseconds(tier.p99_ms)
    mark = f"{tier.wrong if wrong else '-':>9}"
    if wrong and tier.wrong:
        mark = click.style(mark, fg="red")
    named = click.style(f"{name:<20}", fg=colour, bold=colour is None)
    return named + f"{tier.count:>9}{share:>10}{p50:>12}{p99:>12}" + mark


def _savings(summary: Summary, rates: tuple[float, float]) -> list[str]:
    saved = summary.prompts - summary.calls
    fooled = [trap for trap in summary.traps if trap.fooled]
    wrong = len(summary.wrong)
    share = f"{100 * wrong / summary.hits:.1f} % of the hits" if summary.hits else ""
    per_million = 1e6 * summary.saved_usd / summary.prompts if summary.prompts else 0.0
    rows = [
        ("Calls saved", f"{saved} of {summary.prompts}", f"{100 * summary.hit_rate:.1f} % hit rate"),
        ("Wrong hits", f"{wrong} of {summary.hits} hits", share),
        (
            "Traps",
            f"{len(summary.traps) - len(fooled)} of {len(summary.traps)} seen through",
            "look-alikes that ask something else",
        ),
        (
            "Waiting saved",
            f"{milliseconds(summary.saved_ms)} of {milliseconds(summary.uncached_ms)}",
            "what a hit's own call takes, less its wait",
        ),
        (
            "Money saved",
            f"{money(summary.saved_usd)} of {money(summary.uncached_usd)}",
            f"{money(per_million)} in a million such prompts",
        ),
    ]
    lines = []
    for name, value, note in rows:
        bad = name == "Wrong hits" and wrong
        shown = f"{value:<22}"
        shown = click.style(shown, fg="red") if bad else shown
        lines.append(f"{click.style(f'{name:<14}', bold=True)} {shown} {dim(note)}")
    lines.append(dim(f"{'':<15}tokens estimated from length, ${rates[0]:g} per 1k in, ${rates[1]:g} out"))
    return lines


# ------------------------------------------------------------------------------ examples


def _wrong_hits(summary: Summary) -> list[str]:
    if not summary.wrong:
        return []
    lines = ["", click.style("Wrong hits", bold=True) + dim("  (got the answer of another question)")]
    pairs: dict[tuple[str, str], list[Result]] = {}
    for result in summary.wrong:
        pairs.setdefault((result.prompt.text, result.matched or "?"), []).append(result)
    for (text, matched), results in list(pairs.items())[:_WRONG_SHOWN]:
        why = f"{len(results)} times" if len(results) > 1 else ""
        lines += _pair(click.style("wrong   ", fg="red"), results[0].similarity, text, matched, why)
    more = len(pairs) - _WRONG_SHOWN
    if more > 0:
        lines.append(dim(f"  and {more} more; --json lists them all"))
    return lines


def _lessons(summary: Summary) -> list[str]:
    near, traps = instructive(summary)
    if not near and not traps:
        return []
    lines = ["", click.style("Worth a look", bold=True)]
    for result in near:
        verdict = click.style("hit     ", fg="green")
        lines += _pair(verdict, result.similarity, result.prompt.text, result.matched or "?")
    for trap in traps:
        why = _why(trap, summary.settings.similarity)
        lines += _pair(click.style("refused ", fg="yellow"), trap.cosine, trap.prompt.text, trap.prompt.twin, why)
    return lines


def _pair(verdict: str, cosine: float | None, text: str, other: str, why: str = "") -> list[str]:
    """Return two lines: the prompt, and under it the one that it was matched or confused with."""
    figure = "     " if cosine is None else f"{cosine:.3f}"
    width = columns() - 21
    note = f"  [{fit(clean(why), 34)}]" if why else ""
    return [
        f"  {verdict} {figure}  {fit(clean(text), width)}",
        f"  {'':<8}   <-   {fit(clean(other), width - len(note))}{note}",
    ]


def _why(trap: Trap, threshold: float) -> str:
    if trap.cosine is not None and trap.cosine < threshold:
        return f"below {threshold:g}"
    return trap.reason or f"differs in: {trap.prompt.trap}"


def instructive(summary: Summary) -> tuple[list[Result], list[Trap]]:
    """Return the near hits and the traps most worth showing, five in all.

    Near hits: right ones with the fewest words in common, one per question. Traps: refused ones nearest to
    their twins, of different kinds; those that were not refused are listed with the wrong hits.
    """
    traps = _traps(summary.traps)
    near: list[Result] = []
    seen: set[str] = set()
    for result in sorted((r for r in summary.near if r.right), key=_overlap):
        if result.prompt.label not in seen:
            seen.add(result.prompt.label)
            near.append(result)
    near = near[: max(_NEAR_SHOWN, _INSTRUCTIVE - len(traps))]
    return near, traps[: _INSTRUCTIVE - len(near)]


def _traps(traps: Sequence[Trap]) -> list[Trap]:
    chosen: dict[str, Trap] = {}  # by kind
    for trap in sorted(traps, key=lambda trap: -(trap.cosine or 0.0)):
        # On a warm start most traps are stored already, and an exact hit refuses nothing.
        if not trap.fooled and trap.outcome != "exact":
            chosen.setdefault(trap.prompt.trap, trap)
    return list(chosen.values())


def _overlap(result: Result) -> float:
    """Return the share of words that a prompt and its match have in common (Jaccard index)."""
    one = set(re.findall(r"\w+", result.prompt.text.casefold()))
    other = set(re.findall(r"\w+", (result.matched or "").casefold()))
    return len(one & other) / max(1, len(one | other))
