"""Plot precision against hit ratio: PNG with matplotlib, HTML by this module."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from semantic_llm_cache._installation import install
from semantic_llm_cache.cli.common import CommandError
from semantic_llm_cache.cli.output import clean

__all__ = ["Choice", "Curve", "check_plot", "draw"]


class Choice(NamedTuple):
    """The threshold that meets the target, with its 95 % intervals.

    Args:
        point: threshold, hit ratio, precision.
        stretch: the points of the curve between the ends of the threshold's interval.
        precision: interval of the precision on held-out rows.
    """

    point: tuple[float, float, float]
    stretch: Sequence[tuple[float, float, float]]
    precision: tuple[float, float]


class Curve(NamedTuple):
    """One line of the plot.

    Args:
        name: for the legend.
        points: (threshold, hit ratio, precision), by threshold.
        chosen: the threshold that meets the target, or None.
    """

    name: str
    points: Sequence[tuple[float, float, float]]
    chosen: Choice | None

    @property
    def label(self) -> str:
        """The text of the legend."""
        if self.chosen is None:
            return f"{self.name}: no threshold meets the target"
        ends = [point[0] for point in self.chosen.stretch]
        return f"{self.name}: threshold {self.chosen.point[0]:.3f} (95 %: {min(ends):.3f} to {max(ends):.3f})"


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
        _figure(curves, title, target).savefig(path, dpi=120)
    else:
        Path(path).write_text(_html(curves, title, target), encoding="utf-8")


_TOP_PRECISION = 1.015
"""End of the precision axis: a little above 1, so that a curve at 1 is not hidden by the frame."""


def _bottom(curves: Sequence[Curve], target: float) -> float:
    """Return the start of the precision axis: below the lowest point, in steps of 5 %."""
    lowest = [1.0 - target, *(point[2] for curve in curves for point in curve.points)]
    lowest += [curve.chosen.precision[0] for curve in curves if curve.chosen is not None]
    return max(0.0, int(min(lowest) * 20 - 1e-9) / 20)


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


def _figure(curves: Sequence[Curve], title: str, target: float) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for number, curve in enumerate(curves):
        _draw_png(axes, curve, _PNG_STYLES[number % len(_PNG_STYLES)])
    axes.axhline(1 - target, color="grey", linestyle=":", linewidth=1.5, label=f"target {100 * (1 - target):g} %")
    bottom, right = _bottom(curves, target), _right(curves)
    axes.set_xlim(0, right)
    axes.set_ylim(bottom, _TOP_PRECISION)
    axes.set_xticks(ticks := _ticks(0.0, right), [f"{100 * tick:.4g} %" for tick in ticks])
    axes.set_yticks(ticks := _ticks(bottom, 1.0), [f"{100 * tick:.4g} %" for tick in ticks])
    axes.set_xlabel("hit ratio")
    axes.set_ylabel("precision of hits")
    axes.set_title(_ascii(title), parse_math=False)
    axes.grid(visible=True, alpha=0.3)
    # Below the plot: inside it the legend could lie on a curve.
    figure.legend(loc="outside lower center", fontsize="small", title=_INTERVALS, title_fontsize="small")
    return figure


_INTERVALS = "pale band: 95 % interval of the threshold; upright bar: of the precision on held-out rows"
_PNG_STYLES = (("tab:blue", "-", 3.0, "o"), ("tab:orange", "--", 1.8, "s"), ("tab:green", "-.", 1.2, "D"))
"""Colour, line, width and mark of each curve: of two that lie on each other, the later one is thinner and dashed."""


def _draw_png(axes: Any, curve: Curve, style: tuple[str, str, float, str]) -> None:
    colour, line, width, mark = style
    x, y = [point[1] for point in curve.points], [point[2] for point in curve.points]
    axes.plot(x, y, color=colour, linestyle=line, linewidth=width, label=_ascii(curve.label))
    if curve.chosen is None:
        return
    _, ratio, precision = curve.chosen.point
    low, high = curve.chosen.precision
    stretch = curve.chosen.stretch
    axes.plot([p[1] for p in stretch], [p[2] for p in stretch], color=colour, linewidth=10, alpha=0.25)
    axes.vlines(ratio, low, high, color=colour, linestyle=line, linewidth=1.2)
    axes.plot([ratio, ratio], [low, high], "_", color=colour, markersize=9)
    axes.plot(ratio, precision, mark, color=colour, markersize=8, markeredgecolor="white")


def _ascii(text: str) -> str:
    """Return `text` without letters that the plot's font may lack: each would raise a warning."""
    return text.encode("ascii", "replace").decode("ascii")


# ------------------------------------------------------------------------------ HTML

_WIDTH, _HEIGHT = 800, 480
_LEFT, _TOP, _RIGHT, _BOTTOM = 64, 16, 24, 48
_LINES = (("#1f6fb4", "4", ""), ("#d9720c", "2", "7 4"), ("#2f8f3f", "1.5", "2 3"))
"""Colour, width and dashes of each curve."""
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem;
  color: #222; background: #fff }
svg { width: 100%; height: auto } svg.key { width: 40px } ul { list-style: none; padding: 0 }
text { font-size: 13px; fill: #444 } .grid { stroke: #ddd } .target { stroke: #777; stroke-dasharray: 2 4 }
.curve { fill: none } .band { fill: none; stroke-width: 12; opacity: .25 }
table { border-collapse: collapse } td, th { padding: .15rem .8rem; text-align: right }
th { border-bottom: 1px solid #999 }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #16181c } text { fill: #bbb }
  .grid { stroke: #333 } }
"""


class _Scale(NamedTuple):
    """Map values to positions: hit ratios from 0 to `right`, precisions from `bottom` to a little above 1."""

    right: float
    bottom: float

    def x(self, ratio: float) -> str:
        return f"{_LEFT + (_WIDTH - _LEFT - _RIGHT) * ratio / self.right:.1f}"

    def y(self, precision: float) -> str:
        height = _HEIGHT - _TOP - _BOTTOM
        return f"{_TOP + height * (_TOP_PRECISION - precision) / (_TOP_PRECISION - self.bottom):.1f}"


def _html(curves: Sequence[Curve], title: str, target: float) -> str:
    scale = _Scale(_right(curves), _bottom(curves, target))
    parts = _axes(scale, target)
    legend = []
    for curve, line in zip(curves, _LINES, strict=False):
        parts += _drawn(curve, scale, line)
        sample = _line_tag("line", line, 'x2="40" y1="5" y2="5"')
        legend.append(f'<li><svg width="40" height="10" class="key">{sample}</svg> {escape(curve.label)}</li>')
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
<ul>{"".join(legend)}</ul>
<p>Dotted: the target, {100 * (1 - target):g} % of the hits right. Large dots: the thresholds that meet it. Pale bands:
their 95 % intervals. Upright lines: the 95 % intervals of the precision on held-out rows.</p>
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
        parts.append(f'<line class="grid" x1="{x(value)}" x2="{x(value)}" y1="{_TOP}" y2="{y(bottom)}"/>')
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


def _line_tag(tag: str, line: tuple[str, str, str], rest: str) -> str:
    colour, width, dashes = line
    return f'<{tag} stroke="{colour}" stroke-width="{width}" stroke-dasharray="{dashes}" {rest}/>'


def _path(points: Sequence[tuple[float, float, float]], scale: _Scale) -> str:
    return " ".join(f"{scale.x(ratio)},{scale.y(precision)}" for _, ratio, precision in points)


def _drawn(curve: Curve, scale: _Scale, line: tuple[str, str, str]) -> list[str]:
    """Return the line of a curve with about 60 dots, and the chosen threshold with its intervals."""
    colour = line[0]
    parts = [_line_tag("polyline", line, f'class="curve" points="{_path(curve.points, scale)}"')]
    dots = [(point, 3) for point in curve.points[:: max(1, len(curve.points) // 60)]]
    if curve.chosen is not None:
        dots.append((curve.chosen.point, 6))
        parts.append(f'<path class="band" stroke="{colour}" d="M {_path(curve.chosen.stretch, scale)}"/>')
        x, (low, high) = scale.x(curve.chosen.point[1]), map(scale.y, curve.chosen.precision)
        parts.append(f'<line stroke="{colour}" stroke-width="1.5" x1="{x}" x2="{x}" y1="{low}" y2="{high}"/>')
    for (threshold, ratio, precision), size in dots:
        note = f"{curve.name}: threshold {threshold:.3f}, hits {100 * ratio:.1f} %, precision {100 * precision:.2f} %"
        parts.append(
            f'<circle cx="{scale.x(ratio)}" cy="{scale.y(precision)}" r="{size}" fill="{colour}">'
            f"<title>{escape(note)}</title></circle>"
        )
    return parts


def _row(curve: Curve) -> str:
    if curve.chosen is None:
        cells = '<td colspan="3">no threshold meets the target</td>'
    else:
        threshold, ratio, precision = curve.chosen.point
        cells = f"<td>{threshold:.3f}</td><td>{100 * ratio:.2f} %</td><td>{100 * precision:.2f} %</td>"
    return f"<tr><td>{escape(curve.name)}</td>{cells}</tr>"
