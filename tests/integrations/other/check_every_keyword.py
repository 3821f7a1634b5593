"""The doors of this environment held to the shared test. Run by `test_other_versions.py`."""

import importlib.metadata

from test_every_keyword import *  # noqa: F403
from test_every_keyword import DOORS


def test_litellm_is_among_them():
    assert importlib.metadata.version("openai").startswith("2.")
    assert "litellm" in [door.name for door in DOORS]
