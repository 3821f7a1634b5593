"""A few shapes of SVG, in a light and a dark palette."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

Point = tuple[float, float]


@dataclass(frozen=True)
class Palette:
    """Colours of one theme; text on its ground has a contrast of at least 4.5."""

    name: str
    ground: str
    panel: str
    line: str
    text: str
    faint: str
    good: str
    bad: str
    accent: str


LIGHT = Palette("light", "#ffffff", "#f3f4f8", "#9aa1b2", "#1d2330", "#545b6c", "#1c7a3e", "#b3261e", "#3949ab")
DARK = Palette("dark", "#1e2129", "#2a2e39", "#6d7484", "#e8eaf0", "#b0b6c3", "#6fd08c", "#ff8a80", "#9fa8ff")


class Drawing:
    """Collects shapes; `svg` returns the text of the file.

    Args:
        width, height: in pixels.
        palette: its colours.
        title: what the picture shows, for those who do not see it.
    """

    def __init__(self, width: int, height: int, palette: Palette, title: str) -> None:
        self.width, self.height, self.palette, self.title = width, height, palette, title
        self._parts: list[str] = []

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        size: int = 13,
        fill: str = "",
        anchor: str = "start",
        bold: bool = False,
    ) -> None:
        """Write a line of text."""
        weight = ' font-weight="600"' if bold else ""
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{fill or self.palette.text}" '
            f'text-anchor="{anchor}"{weight}>{escape(words)}</text>'
        )

    def box(self, x: float, y: float, width: float, height: float, lines: Sequence[str], *, stroke: str = "") -> None:
        """Draw a box with lines of text in its middle, the first one bold."""
        p = self.palette
        self._parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="8" fill="{p.panel}" '
            f'stroke="{stroke or p.line}" stroke-width="1.5"/>'
        )
        top = y + height / 2 - 8.5 * (len(lines) - 1) + 4.5
        for number, line in enumerate(lines):
            fill = p.text if number == 0 else p.faint
            self.text(x + width / 2, top + 17 * number, line, fill=fill, anchor="middle", bold=number == 0)

    def line(
        self, points: Sequence[tuple[float, float]], *, stroke: str = "", width: float = 1.5, dash: str = ""
    ) -> None:
        """Draw a line through points."""
        path = " ".join(f"{'M' if i == 0 else 'L'}{x:.1f} {y:.1f}" for i, (x, y) in enumerate(points))
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self._parts.append(
            f'<path d="{path}" fill="none" stroke="{stroke or self.palette.line}" stroke-width="{width}"{dashes}/>'
        )

    def arrow(self, x1: float, y1: float, x2: float, y2: float, words: str = "", *, stroke: str = "") -> None:
        """Draw an arrow, with words beside its middle."""
        colour = stroke or self.palette.line
        self.line([(x1, y1), (x2, y2)], stroke=colour)
        turn = math.atan2(y2 - y1, x2 - x1)
        ends = [(x2 - 8 * math.cos(turn + a), y2 - 8 * math.sin(turn + a)) for a in (0.45, -0.45)]
        self.line([ends[0], (x2, y2), ends[1]], stroke=colour)
        if words and abs(y2 - y1) > abs(x2 - x1):
            self.text((x1 + x2) / 2 + 8, (y1 + y2) / 2 + 4, words, size=12, fill=self.palette.faint)
        elif words:
            self.text((x1 + x2) / 2, y1 - 7, words, size=12, fill=self.palette.faint, anchor="middle")

    def svg(self) -> str:
        """Return the file."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" width="{self.width}" '
            f'height="{self.height}" font-family="system-ui, sans-serif" role="img">'
        )
        ground = f'<rect width="100%" height="100%" fill="{self.palette.ground}"/>'
        return "\n".join([head, f"<title>{escape(self.title)}</title>", ground, *self._parts, "</svg>"]) + "\n"


@dataclass(frozen=True)
class Axes:
    """Axes of a chart, and where its values lie.

    Args:
        left, top, width, height: of the field, in pixels.
        x, y: (least, most) value.
    """

    left: float
    top: float
    width: float
    height: float
    x: tuple[float, float]
    y: tuple[float, float]

    def at(self, x: float, y: float) -> Point:
        """Return the place of a value."""
        return (
            self.left + (x - self.x[0]) / (self.x[1] - self.x[0]) * self.width,
            self.top + self.height - (y - self.y[0]) / (self.y[1] - self.y[0]) * self.height,
        )

    def draw(self, to: Drawing, marks: tuple[Sequence[tuple[float, str]], Sequence[tuple[float, str]]]) -> None:
        """Draw grid and marks; `marks` are values with their texts, for x and for y."""
        faint = to.palette.panel
        for value, words in marks[0]:
            x, bottom = self.at(value, self.y[0])
            to.line([(x, self.top), (x, bottom)], stroke=faint)
            to.text(x, bottom + 18, words, size=12, fill=to.palette.faint, anchor="middle")
        for value, words in marks[1]:
            x, y = self.at(self.x[0], value)
            to.line([(x, y), (x + self.width, y)], stroke=faint)
            to.text(x - 8, y + 4, words, size=12, fill=to.palette.faint, anchor="end")

    def curve(self, to: Drawing, points: Sequence[Point], *, stroke: str, dash: str = "") -> None:
        """Draw a curve through values."""
        to.line([self.at(*point) for point in points], stroke=stroke, width=2.2, dash=dash)
