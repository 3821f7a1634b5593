"""The pictures of the documentation are what their script draws."""

import json
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from scripts.site.pictures import DRAWINGS, FIGURES, PICTURES  # noqa: E402
from scripts.site.svg import DARK, LIGHT  # noqa: E402


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=lambda palette: palette.name)
@pytest.mark.parametrize("name", DRAWINGS)
def test_a_picture_is_up_to_date(name, palette):
    drawn = DRAWINGS[name](palette, json.loads(FIGURES.read_text())).svg()
    assert (PICTURES / f"{name}-{palette.name}.svg").read_text() == drawn, "run python -m scripts.site.pictures"
    assert ElementTree.fromstring(drawn).find("{http://www.w3.org/2000/svg}title") is not None


def _luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=lambda palette: palette.name)
def test_text_can_be_read(palette):
    """The contrast that WCAG 2.2 asks for at level AA (1.4.3)."""
    for colour in (palette.text, palette.faint, palette.good, palette.bad, palette.accent):
        for ground in (palette.ground, palette.panel):
            light, dark = sorted((_luminance(colour), _luminance(ground)), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (colour, ground)
