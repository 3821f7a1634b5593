"""The plot of `calibrate`: everything in it can be seen."""

import pytest

from semantic_llm_cache.cli.curves import Choice, Curve, _figure, draw

FLAT = [(0.5 + i / 20, 0.6 - i / 20, 1.0) for i in range(10)]
FALLING = [(0.5 + i / 20, 0.8 - i / 20, 0.7 + i / 30) for i in range(10)]
# The case that hid most: two curves that are the same, at a precision of 1.
SAME = [
    Curve("no guards", FLAT, Choice(FLAT[3], FLAT[2:6], (0.8, 1.0))),
    Curve("guards", FLAT, Choice(FLAT[3], FLAT[3:4], (0.8, 1.0))),
]
APART = [Curve("no guards", FALLING, Choice(FALLING[7], FALLING[5:9], (0.6, 0.97))), Curve("guards", FLAT, None)]


@pytest.mark.parametrize("curves", [SAME, APART], ids=["same", "apart"])
def test_no_text_lies_on_another_or_on_a_curve(curves):
    figure = _figure(curves, "a title, " * 10, 0.05)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    (legend,) = figure.legends
    inside = axes.get_window_extent()
    boxes = [legend.get_window_extent(), axes.title.get_window_extent(), axes.xaxis.label.get_window_extent()]
    for i, box in enumerate(boxes):
        assert not box.overlaps(inside)
        assert not any(box.overlaps(other) for other in boxes[i + 1 :])
        assert figure.bbox.containsx(box.x0)
        assert figure.bbox.containsx(box.x1)
    assert [text for text in axes.texts if text.get_text()] == []


def test_curves_on_each_other_and_their_intervals_are_seen():
    figure = _figure(SAME, "t", 0.05)
    (axes,) = figure.axes
    assert axes.get_ylim()[1] > 1.0  # the frame does not hide them
    below, above = [line for line in axes.lines if line.get_label().startswith(("no guards", "guards"))]
    assert below.get_linewidth() > above.get_linewidth() + 1
    assert (below.get_linestyle(), above.get_linestyle()) == ("-", "--")
    bands = [line for line in axes.lines if line.get_alpha() == 0.25]
    assert [len(band.get_xdata()) for band in bands] == [4, 1]
    bars = [tuple(map(tuple, path.vertices)) for found in axes.collections for path in found.get_paths()]
    assert ((FLAT[3][1], 0.8), (FLAT[3][1], 1.0)) in bars
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == [
        "no guards: threshold 0.650 (95 %: 0.600 to 0.750)",
        "guards: threshold 0.650 (95 %: 0.650 to 0.650)",
        "target 95 %",
    ]


def test_the_html_draws_the_same(tmp_path):
    path = tmp_path / "plot.html"
    draw(str(path), APART, title="t", target=0.05)
    text = path.read_text()
    assert text.count('class="band"') == 1
    assert "<li>" in text
    assert "guards: no threshold meets the target" in text
    assert 'stroke-dasharray="7 4"' in text
