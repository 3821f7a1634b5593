"""Draw the pictures of the documentation, light and dark: `python -m scripts.site.pictures [--data FOLDER]`.

Without ``--data`` the charts are drawn from the figures kept in ``docs/pictures/figures.json``. With it they are
measured again: FOLDER holds ``clinc150.jsonl`` (prompt, answer) and ``qqp_pairs.tsv`` (question1, question2,
is_duplicate), which are not part of this project.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripts.site.svg import DARK, LIGHT, Axes, Drawing, Palette

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "pictures"
FIGURES = PICTURES / "figures.json"
STEP = 100
"""Requests between two points of the chart of the budget."""
BOUND = 0.02


# --------------------------------------------------------------------------------- drawings


def path_of_a_call(palette: Palette, figures: Any) -> Drawing:
    """A call goes through the exact lookup, the near lookup and single flight before the function runs."""
    d = Drawing(760, 420, palette, "The path of a call: exact lookup, near lookup, single flight, your function")
    d.box(20, 20, 190, 54, ["A call", "through any door"])
    d.arrow(210, 47, 268, 47)
    d.box(270, 20, 200, 54, ["Request", "scope + text"])
    steps = [
        ("Exact lookup", "same scope, same text?", "exact hit", "microseconds"),
        ("Near lookup", "same scope, near in meaning,", "near hit", "milliseconds"),
        ("In flight?", "the same call is running", "coalesced", "waits for its answer"),
        ("Your function", "runs once", "miss", "the answer is stored"),
    ]
    y, before = 104.0, 74.0
    for number, (name, what, outcome, note) in enumerate(steps):
        lines = [name, what] + (["and the policy agrees?"] if number == 1 else [])
        height = 54.0 if number != 1 else 70.0
        d.arrow(370, before, 370, y, "" if number == 0 else "no")
        d.box(250, y, 240, height, lines, stroke=palette.accent if number == 3 else "")
        middle = y + height / 2
        good = palette.good if number < 3 else palette.accent
        d.arrow(490, middle, 578, middle, "" if number == 3 else "yes", stroke=good)
        d.box(580, y + height / 2 - 27, 160, 54, [outcome, note], stroke=good)
        before, y = y + height, y + height + 24
    d.text(20, 250, "If storage or embedder fail,", size=12, fill=palette.faint)
    d.text(20, 267, "the call goes straight to", size=12, fill=palette.faint)
    d.text(20, 284, "your function.", size=12, fill=palette.faint)
    return d


def scope_and_text(palette: Palette, figures: Any) -> Drawing:
    """Of a call, the text is compared by meaning; all else must be equal."""
    d = Drawing(760, 300, palette, "Scope is compared for equality, text by meaning")
    d.text(20, 34, "scope: who asks, and how", bold=True, size=14)
    d.text(20, 54, "must be equal", size=12, fill=palette.faint)
    d.text(330, 34, "text: what is asked", bold=True, size=14)
    d.text(330, 54, "equal, or near in meaning", size=12, fill=palette.faint)
    rows = [
        ("model=small, tenant=acme", "How do I reset my password?", "stored", palette.accent),
        ("model=small, tenant=acme", "How can I reset my password?", "near hit", palette.good),
        ("model=large, tenant=acme", "How do I reset my password?", "miss", palette.bad),
        ("model=small, tenant=other", "How do I reset my password?", "miss", palette.bad),
    ]
    for number, (scope, text, outcome, colour) in enumerate(rows):
        y = 72 + 54 * number
        d.box(20, y, 290, 40, [scope])
        d.box(330, y, 300, 40, [text])
        d.text(648, y + 25, outcome, fill=colour, bold=True)
    return d


def budget_over_time(palette: Palette, figures: Any) -> Drawing:
    """Hits and wrong answers as a share of all requests so far, under an error budget."""
    series = figures["budget"]
    d = Drawing(760, 400, palette, "Hits grow while wrong answers stay under the bound")
    last = series["hits"][-1][0]
    marks = [(n, f"{n:,}") for n in range(0, int(last) + 1, 2000)]
    d.text(20, 26, "answered from the cache, share of all requests", bold=True)
    top = Axes(64, 40, 670, 150, (0, last), (0, 0.8))
    top.draw(d, ([], [(v / 10, f"{10 * v} %") for v in (0, 2, 4, 6, 8)]))
    top.curve(d, series["hits"], stroke=palette.accent)
    d.text(20, 228, "answered wrongly, share of all requests", bold=True)
    low = Axes(64, 242, 670, 110, (0, last), (0, 0.025))
    low.draw(d, (marks, [(v / 100, f"{v} %") for v in (0, 1, 2)]))
    low.curve(d, [(0, series["bound"]), (last, series["bound"])], stroke=palette.bad, dash="6 4")
    low.curve(d, series["wrong"], stroke=palette.good)
    d.text(724, low.at(0, series["bound"])[1] - 6, "max_error=0.02", size=12, fill=palette.bad, anchor="end")
    d.text(400, 388, "requests", size=12, fill=palette.faint, anchor="middle")
    return d


def calibrate_curves(palette: Palette, figures: Any) -> Drawing:
    """Precision against hits at each threshold, without guards and with them."""
    curves = figures["calibrate"]
    d = Drawing(760, 380, palette, "Precision against hits, without guards and with them")
    most = 0.1 * (1 + int(10 * max(point[1] for points in curves.values() for point in points)))
    axes = Axes(64, 44, 670, 270, (0, most), (0.5, 1.0))
    d.text(20, 26, "right among the hits", bold=True)
    axes.draw(
        d,
        (
            [(v / 10, f"{10 * v} %") for v in range(round(10 * most) + 1)],
            [(v / 10, f"{10 * v} %") for v in range(5, 11)],
        ),
    )
    for name, colour, dash in (("no guards", palette.bad, "6 4"), ("guards", palette.accent, "")):
        axes.curve(d, [(hits, right) for _, hits, right in curves[name]], stroke=colour, dash=dash)
    for threshold, hits, right in curves["guards"]:
        if threshold in (0.8, 0.85, 0.9, 0.95):
            x, y = axes.at(hits, right)
            d.text(x + 6, y - 6, f"{threshold:.2f}", size=12, fill=palette.accent)
    d.text(
        400,
        350,
        "share of the pairs that are hits; thresholds stand beside the curve",
        size=12,
        fill=palette.faint,
        anchor="middle",
    )
    d.text(620, 70, "guards", fill=palette.accent, bold=True)
    d.text(620, 90, "no guards", fill=palette.bad, bold=True)
    return d


DRAWINGS: dict[str, Callable[[Palette, Any], Drawing]] = {
    "path-of-a-call": path_of_a_call,
    "scope-and-text": scope_and_text,
    "budget-over-time": budget_over_time,
    "calibrate-curves": calibrate_curves,
}


# --------------------------------------------------------------------------------- figures


def measure_budget(data: Path) -> dict[str, Any]:
    """Return the running shares of one order of clinc150 (seed 0) under ``max_error=0.02``."""
    import numpy as np
    from benchmarks.trust.stream import load_streams, run_online

    from semantic_llm_cache.matching.online import OnlinePolicy

    stream = next(iter(load_streams(data, ["clinc150"])))
    answers = dict(zip(stream.prompts, stream.answers, strict=True))
    served: list[tuple[bool, bool]] = []

    class Watched(OnlinePolicy):
        def decide(self, prompt: str, candidates: Any) -> Any:
            decision = super().decide(prompt, candidates)
            served.append((decision.action == "serve", decision.answer != answers[prompt]))
            return decision

        def count_exact(self) -> None:
            super().count_exact()
            served.append((True, False))

    run_online(stream, Watched(max_error=BOUND, floor=0.5, seed=0), stream.order(np.random.default_rng(0)))
    hits, wrong = np.array([s for s, _ in served]), np.array([s and w for s, w in served])
    asked = np.arange(1, len(served) + 1)

    def shares(counted: Any) -> list[tuple[int, float]]:
        share = counted.cumsum() / asked
        return [(0, 0.0)] + [(int(asked[i]), round(float(share[i]), 4)) for i in range(STEP - 1, len(asked), STEP)]

    return {"bound": BOUND, "hits": shares(hits), "wrong": shares(wrong)}


def measure_calibrate(data: Path) -> dict[str, Any]:
    """Return threshold, hits and precision on labelled pairs: what `calibrate --json` prints."""
    import contextlib
    import io

    from semantic_llm_cache.cli import main

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        main(["calibrate", str(data / "qqp_pairs.tsv"), "--target-error", "0.05", "--json"])
    found = json.loads(out.getvalue())
    return {
        name: [
            (round(p["threshold"], 3), round(p["hit_ratio"], 4), round(p["precision"], 4))
            for p in found[key]["curve"]
            if p["threshold"] >= 0.6 and round(p["threshold"] * 1000) % 5 == 0 and p["hit_ratio"] > 0.004
        ]
        for name, key in (("no guards", "no_guards"), ("guards", "guards"))
    }


def main() -> None:
    """Measure, if asked to, and draw."""
    parser = argparse.ArgumentParser(description="Draw the pictures of the documentation.")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="measure again with these data")
    options = parser.parse_args()
    if options.data is not None:
        figures = {"budget": measure_budget(options.data), "calibrate": measure_calibrate(options.data)}
        FIGURES.write_text(json.dumps(figures, separators=(",", ":")) + "\n")
    figures = json.loads(FIGURES.read_text())
    for name, draw in DRAWINGS.items():
        for palette in (LIGHT, DARK):
            (PICTURES / f"{name}-{palette.name}.svg").write_text(draw(palette, figures).svg())


if __name__ == "__main__":
    main()
