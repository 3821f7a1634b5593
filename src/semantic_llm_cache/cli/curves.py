"""Plot precision against hit ratio: PNG with matplotlib, HTML by this module."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from semantic_llm_cache._installation import install
from semantic_llm_cache.cli.common import CommandError
from semantic_llm_cache.cli.output import clean

__all__ = ["Curve", "check_plot", "draw"]


class Curve(NamedTuple):
    """One line of the plot.

    Args:
        name: for the legend.
        points: (threshold, hit ratio, precision), by threshold.
        chosen: the point that meets the target, or None.
    """

    name: str
    points: Sequence[tuple[float, float, float]]
    chosen: tuple[float, float, float] | None


def check_plot(path: str | None) -> None:
    """Raise CommandError, exit code 2, unless a plot can be written to `path` later."""
    if path is None:
        return
    suffix = Path(path).suffix.lower()
    if suffix not in (".png", ".html"):
        raise CommandError(f"--plot {clean(path)}: name it .png or .html", code=2)
    if not Path(path).absolute().parent.is_dir():
        raise CommandError(f"--plot {clean(path)}: its directory does not exist", code=2)
    if suffix == ".png" and importlib.util.find_spec("matplotlib") is None:
        raise CommandError(f"--plot: PNG needs matplotlib: {install('plot')} (.html needs nothing)", code=2)


def draw(path: str, curves: Sequence[Curve], *, title: str, target: float) -> None:
    """Write the plot: hit ratio on the x axis, precision on the y axis, the target as a line, the choices as dots.

    Args:
        path: ends in .png or .html, see `check_plot`.
        curves: at least one, each with at least one point.
        title: text above the plot.
        target: share of wrong hits asked for; the line is at 1 - target.
    """
    if Path(path).suffix.lower() == ".png":
        _png(path, curves, title, target)
    else:
        Path(path).write_text(_html(curves, title, target), encoding="utf-8")


def _bottom(curves: Sequence[Curve], target: float) -> float:
    """Return the start of the precision axis: below the lowest point, in steps of 5 %."""
    lowest = min([1.0 - target, *(point[2] for curve in curves for point in curve.points)])
    return max(0.0, int(lowest * 20 - 1e-9) / 20)


def _right(curves: Sequence[Curve]) -> float:
    """Return the end of the hit ratio axis: above the largest ratio, in steps of 5 %."""
    largest = max(point[1] for curve in curves for point in curve.points)
    return min(1.0, (int(largest * 20) + 1) / 20)


def _ticks(low: float, high: float) -> list[float]:
    """Return five to ten round values from `low` to `high`."""
    step = next((s for s in (0.01, 0.02, 0.05, 0.1) if (high - low) / s <= 10), 0.2)
    first = int(low / step + 1 - 1e-9)
    return [i * step for i in range(first, int(high / step + 1e-9) + 1)]


# ------------------------------------------------------------------------------ PNG


def _png(path: str, curves: Sequence[Curve], title: str, target: float) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for number, (curve, colour) in enumerate(zip(curves, ("tab:blue", "tab:orange", "tab:green"), strict=False)):
        axes.plot([p[1] for p in curve.points], [p[2] for p in curve.points], color=colour, label=_ascii(curve.name))
        if curve.chosen is not None:
            axes.plot(curve.chosen[1], curve.chosen[2], "o", color=colour)
            axes.annotate(
                f"{curve.chosen[0]:.3f}",
                (curve.chosen[1], curve.chosen[2]),
                xytext=(4, 6 if number else -14),  # above for one curve, below for the other
                textcoords="offset points",
                color=colour,
            )
    axes.axhline(1 - target, color="grey", linestyle="--", linewidth=1, label=f"target {100 * (1 - target):g} %")
    axes.set_xlim(0, _right(curves))
    axes.set_ylim(_bottom(curves, target), 1)
    axes.set_xlabel("hit ratio")
    axes.set_ylabel("precision of hits")
    axes.set_title(_ascii(title), parse_math=False)
    axes.grid(visible=True, alpha=0.3)
    axes.legend(loc="lower left")
    figure.savefig(path, dpi=120)


def _ascii(text: str) -> str:
    """Return `text` without letters that the plot's font may lack: each would raise a warning."""
    return text.encode("ascii", "replace").decode("ascii")


# ------------------------------------------------------------------------------ HTML

_WIDTH, _HEIGHT = 800, 480
_LEFT, _TOP, _RIGHT, _BOTTOM = 64, 16, 24, 48
_COLOURS = ("#1f6fb4", "#d9720c", "#2f8f3f")
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem;
  color: #222; background: #fff }
svg { width: 100%; height: auto } text { font-size: 13px; fill: #444 }
.grid { stroke: #ddd } .target { stroke: #777; stroke-dasharray: 6 4 } .curve { fill: none; stroke-width: 2 }
table { border-collapse: collapse } td, th { padding: .15rem .8rem; text-align: right }
th { border-bottom: 1px solid #999 }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #16181c } text { fill: #bbb }
  .grid { stroke: #333 } }
"""


class _Scale(NamedTuple):
    """Map values to positions in the plot: hit ratios from 0 to `right`, precisions from `bottom` to 1."""

    right: float
    bottom: float

    def x(self, ratio: float) -> str:
        return f"{_LEFT + (_WIDTH - _LEFT - _RIGHT) * ratio / self.right:.1f}"

    def y(self, precision: float) -> str:
        return f"{_TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - precision) / (1 - self.bottom):.1f}"


def _html(curves: Sequence[Curve], title: str, target: float) -> str:
    scale = _Scale(_right(curves), _bottom(curves, target))
    parts = _axes(scale, target)
    for number, (curve, colour) in enumerate(zip(curves, _COLOURS, strict=False)):
        parts += _drawn(curve, scale, colour)
        top = _HEIGHT - _BOTTOM - 16 - 20 * number
        parts.append(
            f'<line x1="{_LEFT + 12}" x2="{_LEFT + 40}" y1="{top}" y2="{top}" stroke="{colour}" stroke-width="2"/>'
        )
        parts.append(f'<text x="{_LEFT + 48}" y="{top + 4}">{escape(curve.name)}</text>')
    name = escape(title)
    drawing = "\n".join(parts)
    return f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{name}</title><style>{_STYLE}</style></head>
<body>
<h1>{name}</h1>
<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="precision of hits against hit ratio">
{drawing}
</svg>
<p>Dashed: the target, {100 * (1 - target):g} % of the hits right. Large dots: the thresholds that meet it.</p>
<table><tr><th></th><th>threshold</th><th>hit ratio</th><th>precision</th></tr>
{"".join(map(_row, curves))}
</table>
</body>
</html>
"""


def _axes(scale: _Scale, target: float) -> list[str]:
    """Return the grid with its labels, and the target line."""
    x, y, right, bottom = scale.x, scale.y, scale.right, scale.bottom
    parts = []
    for value in _ticks(0.0, right):
        parts.append(f'<line class="grid" x1="{x(value)}" x2="{x(value)}" y1="{y(1)}" y2="{y(bottom)}"/>')
        parts.append(f'<text x="{x(value)}" y="{_HEIGHT - 26}" text-anchor="middle">{100 * value:.4g} %</text>')
    for value in _ticks(bottom, 1.0):
        parts.append(f'<line class="grid" x1="{x(0)}" x2="{x(right)}" y1="{y(value)}" y2="{y(value)}"/>')
        parts.append(
            f'<text x="{_LEFT - 8}" y="{float(y(value)) + 4:.1f}" text-anchor="end">{100 * value:.4g} %</text>'
        )
    parts.append(f'<line class="target" x1="{x(0)}" x2="{x(right)}" y1="{y(1 - target)}" y2="{y(1 - target)}"/>')
    parts.append(f'<text x="{(_WIDTH + _LEFT) // 2}" y="{_HEIGHT - 6}" text-anchor="middle">hit ratio</text>')
    parts.append(
        f'<text transform="translate(14 {_HEIGHT // 2}) rotate(-90)" text-anchor="middle">precision of hits</text>'
    )
    return parts


def _drawn(curve: Curve, scale: _Scale, colour: str) -> list[str]:
    """Return the line of a curve with about 60 dots, and a large dot for the chosen threshold."""
    line = " ".join(f"{scale.x(ratio)},{scale.y(precision)}" for _, ratio, precision in curve.points)
    parts = [f'<polyline class="curve" stroke="{colour}" points="{line}"/>']
    dots = [(point, 3) for point in curve.points[:: max(1, len(curve.points) // 60)]]
    if curve.chosen is not None:
        dots.append((curve.chosen, 6))
    for (threshold, ratio, precision), size in dots:
        told = f"{curve.name}: threshold {threshold:.3f}, hits {100 * ratio:.1f} %, precision {100 * precision:.2f} %"
        parts.append(
            f'<circle cx="{scale.x(ratio)}" cy="{scale.y(precision)}" r="{size}" fill="{colour}">'
            f"<title>{escape(told)}</title></circle>"
        )
    return parts


def _row(curve: Curve) -> str:
    if curve.chosen is None:
        cells = '<td colspan="3">no threshold meets the target</td>'
    else:
        threshold, ratio, precision = curve.chosen
        cells = f"<td>{threshold:.3f}</td><td>{100 * ratio:.2f} %</td><td>{100 * precision:.2f} %</td>"
    return f"<tr><td>{escape(curve.name)}</td>{cells}</tr>"
