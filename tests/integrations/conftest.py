import sys

import pytest
from wire_provider import provider

# pydantic-ai does not support Python 3.10.
collect_ignore = [] if sys.version_info >= (3, 11) else ["test_pydantic_ai.py"]


@pytest.fixture
def server():
    with provider() as running:
        yield running
