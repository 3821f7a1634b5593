import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "support"))

from wire_provider import provider


@pytest.fixture
def server():
    with provider() as running:
        yield running
