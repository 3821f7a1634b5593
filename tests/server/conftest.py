import pytest
from proxy_server import proxy
from wire_provider import provider


@pytest.fixture(scope="module")
def upstream():
    with provider() as running:
        yield running


@pytest.fixture(scope="module")
def shared(upstream):
    """A proxy that all tests of a module share, in front of one provider under three names."""
    with proxy([f"{upstream.url}/v1", f"anthropic={upstream.url}", f"ollama={upstream.url}"]) as running:
        yield running


@pytest.fixture
def server(upstream):
    """The provider, with its usual answers and nothing seen."""
    upstream.seen.clear()
    upstream.answer = "Paris is the capital ({n})."
    upstream.tool = upstream.finish = upstream.gate = upstream.cut = upstream.raw = upstream.script = None
    upstream.fail = []
    upstream.arrived.clear()
    return upstream
