"""The FastAPI example, as it stands, against a provider on the loopback interface."""

import importlib.util
from pathlib import Path

import httpx
import pytest

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "fastapi_app.py"
ASKED = "How do I reset my password?"
AGAIN = "How can I reset my password?"


@pytest.fixture
async def service(server, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    spec = importlib.util.spec_from_file_location("fastapi_app", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    app = example.app
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://s") as http:
        yield http


async def test_the_service_answers_from_its_cache(server, service):
    async def ask(question, tenant="a"):
        return (await service.get("/ask", params={"question": question}, headers={"x-tenant": tenant})).json()

    first = await ask(ASKED)
    assert first == {"answer": "Paris is the capital (1).", "cache": "miss"}
    assert await ask(AGAIN) == {**first, "cache": "near"}
    assert (await ask(ASKED, "b"))["cache"] == "miss"
    assert server.calls == 2
    told = await service.get("/stream", params={"question": AGAIN}, headers={"x-tenant": "a"})
    assert told.text == first["answer"]
    assert server.calls == 2


async def test_a_streamed_answer_serves_the_other_route_of_its_tenant_only(server, service):
    tenant = {"x-tenant": "a"}
    told = await service.get("/stream", params={"question": ASKED}, headers=tenant)
    asked = await service.get("/ask", params={"question": ASKED}, headers=tenant)
    assert asked.json() == {"answer": told.text, "cache": "exact"}
    other = await service.get("/ask", params={"question": ASKED}, headers={"x-tenant": "b"})
    assert other.json()["cache"] == "miss"
    assert server.calls == 2


async def test_a_request_without_a_tenant_is_refused(server, service):
    assert (await service.get("/ask", params={"question": ASKED})).status_code == 422
    assert server.calls == 0
