"""The table, the JSON, the plot, and the description of the machine."""

from __future__ import annotations

import json
import math
import os
import platform
import sqlite3
import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from benchmarks.harness import Bench, Figure
from benchmarks.workers.protocol import versions

GC_CONTROL = (
    "a full garbage collection before each timed batch, none during it, on every side alike; "
    "`loop` runs with the collector on"
)


def conditions(bench: Bench) -> dict[str, Any]:
    """Return machine, versions and settings of this run."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "machine": {"cpu": model, "cores": cores, "system": f"{platform.system()} {platform.release()}", "load": load},
        "versions": {
            "here": {
                **versions("semantic-llm-cache", "numpy", "onnxruntime", "tokenizers"),
                "sqlite": sqlite3.sqlite_version,
            },
            **bench.versions,
        },
        "settings": {
            "quick": bench.quick,
            "garbage_collection": GC_CONTROL,
            "blas_threads": os.environ.get("OPENBLAS_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS") or "default",
            "hash_seed": os.environ.get("PYTHONHASHSEED", "random"),
            "optimised": bool(sys.flags.optimize),
        },
    }


def heading(bench: Bench) -> str:
    """Return machine, versions and settings as text."""
    found = conditions(bench)
    machine = found["machine"]
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}, load {machine['load']:.2f}"
        if machine["load"] is not None
        else f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}"
    ]
    for place, packages in found["versions"].items():
        lines.append(f"{place}: " + ", ".join(f"{name} {version}" for name, version in packages.items()))
    lines.append(f"garbage collection: {GC_CONTROL}")
    lines.append(
        "ratios: ours / theirs, median over interleaved rounds, min..max beside it"
        + ("; QUICK RUN: tiny sizes, the figures mean nothing" if bench.quick else "")
    )
    return "\n".join(lines)


def amount(value: float | None, unit: str) -> str:
    """Return a figure with a unit that suits its size."""
    if value is None:
        return "-"
    if unit == "s":
        for factor, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns")):
            if abs(value) >= factor:
                return f"{value / factor:.3g} {name}" if value / factor < 1000 else f"{value / factor:.0f} {name}"
        return "0 s"
    if unit == "B":
        for factor, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (10 << 10, "KiB")):
            if abs(value) >= factor:
                scale = 1 << 10 if name == "KiB" else factor
                return f"{value / scale:.3g} {name}"
        return f"{value:.0f} B"
    if value >= 1000:
        return f"{value:.0f} {unit}".rstrip()
    return f"{value:.3g} {unit}".rstrip()


def times(ratio: float | None) -> str:
    """Return a ratio as text, three digits."""
    if ratio is None:
        return ""
    return f"{ratio:.0f}x" if ratio >= 1000 else f"{ratio:.3g}x"


_COLUMNS = ("what", "ours", "beside", "theirs", "ratio", "min..max", "target", "")


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as a text table."""
    cells = [_COLUMNS]
    for f in figures:
        spread = "" if f.low is None else f"{times(f.low)}..{times(f.high)}"
        cells.append((
            f.what, amount(f.value, f.unit), f.beside, amount(f.beside_value, f.unit) if f.beside else "",
            times(f.ratio), spread, "" if f.target is None else str(f.target), f.verdict,
        ))  # fmt: skip
    widths = [max(len(row[i]) for row in cells) for i in range(len(_COLUMNS))]
    left = {0, 2, 7}

    def line(row: Sequence[str]) -> str:
        parts = [
            text.ljust(width) if i in left else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(parts).rstrip()

    out = [line(_COLUMNS), "  ".join("-" * width for width in widths).rstrip()]
    for row, f in zip(cells[1:], figures, strict=True):
        out.append(line(row))
        if f.note:
            out.append(f"    {f.note}")
    return "\n".join(out)


def write_json(bench: Bench, path: Path) -> None:
    """Write conditions and figures as JSON."""
    found = {**conditions(bench), "figures": [figure.as_dict() for figure in bench.figures]}
    path.write_text(json.dumps(found, indent=1) + "\n")


# ------------------------------------------------------------------------------------- plots

_LEFT, _WIDTH, _ROW = 430, 900, 26


def plot(figures: Sequence[Figure], title: str) -> str | None:
    """Return an SVG of the ratios on a logarithmic axis: range, median, target. None without any ratio."""
    shown = [f for f in figures if f.ratio and f.low and f.high]
    if not shown:
        return None
    ends = [
        v for f in shown for v in (f.low, f.high, f.target.bound if f.target and f.target.unit == "x" else 1.0) if v
    ]
    low, high = math.floor(math.log10(min(ends))), math.ceil(math.log10(max(*ends, 1.0)))
    high = max(high, low + 1)

    def x(value: float) -> float:
        return _LEFT + (math.log10(value) - low) / (high - low) * (_WIDTH - _LEFT - 30)

    bottom = 50 + _ROW * len(shown)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{bottom + 30}" '
        'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>',
        f'<text x="10" y="20" font-size="14">{escape(title)}: ours / theirs, less is faster</text>',
    ]
    for power in range(low, high + 1):
        at = x(10.0**power)
        colour = "#888" if power == 0 else "#ddd"
        parts.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="35" y2="{bottom}" stroke="{colour}"/>')
        parts.append(f'<text x="{at:.1f}" y="{bottom + 16}" text-anchor="middle">{10.0**power:g}x</text>')
    for i, f in enumerate(shown):
        assert f.low
        assert f.high
        assert f.ratio
        y = 50 + _ROW * i
        colour = {"pass": "#17823b", "short": "#c0392b"}.get(f.verdict, "#335c99")
        label = f"{f.what} / {f.beside}"
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{escape(label[:70])}</text>')
        parts.append(
            f'<line x1="{x(f.low):.1f}" x2="{x(f.high):.1f}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="3"/>'
            f'<circle cx="{x(f.ratio):.1f}" cy="{y}" r="5" fill="{colour}"/>'
        )
        if f.target and f.target.unit == "x":
            at = x(f.target.bound)
            parts.append(
                f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{y - 9}" y2="{y + 9}" stroke="black" stroke-width="2"/>'
            )
    return "\n".join([*parts, "</svg>"]) + "\n"


def write_plots(bench: Bench, folder: Path) -> list[Path]:
    """Write an SVG for each subset with ratios; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for subset in dict.fromkeys(figure.subset for figure in bench.figures):
        drawing = plot([f for f in bench.figures if f.subset == subset], subset)
        if drawing is not None:
            path = folder / f"{subset}.svg"
            path.write_text(drawing)
            written.append(path)
    return written
