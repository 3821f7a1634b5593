"""Requests made from the OpenAPI document: each is answered as the document says, and never with a 500."""

import asyncio
import json
from typing import Any

import pytest
import schemathesis
from admin_helpers import TOKEN, embed
from hypothesis import HealthCheck, Phase, given, settings
from starlette.applications import Starlette

from semantic_llm_cache import Request, SemanticCache
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.server.admin import admin_routes
from semantic_llm_cache.server.admin.openapi import document
from semantic_llm_cache.server.operator import Operator

PATHS = sorted(document()["paths"])


@pytest.fixture(scope="module", params=["memory", "sqlite"])
def schema(request, tmp_path_factory):
    """The document of an application whose cache has odd entries and some calls behind it."""
    folder = tmp_path_factory.mktemp("admin")
    operator = Operator()
    cache = SemanticCache(
        "memory://" if request.param == "memory" else f"sqlite:///{folder}/cache.db",
        embedder=embed, guards=None, similarity=0.95,
    )  # fmt: skip
    operator.add(cache, "main")

    async def fill():
        async def answer():
            return {"choices": [{"message": {"content": "yes \ud83d"}}]}

        for text in ("What is Python?", "What's Python?", "Explain Python", "half a pair \ud83d", ""):
            await cache.get_or_call(Request("default", {}, text), answer)
        odd = CacheEntry("p\x00", float("nan"), cost_usd=float("inf"), tags=("model:m", "depends-on:doc"), ttl=60.0)
        await cache.backend.set("key", odd)
        await cache.backend.set("a/b?c#d%", CacheEntry("slashes", "r"))

    asyncio.run(fill())
    app = Starlette(routes=admin_routes(operator, TOKEN))
    return schemathesis.openapi.from_asgi("/admin/openapi.json", app, headers={"Authorization": f"Bearer {TOKEN}"})


def check_all(schema, path, mode, examples, **options):
    for method in document()["paths"][path]:
        operation = schema[path][method.upper()]

        @settings(
            max_examples=examples, deadline=None, phases=[Phase.explicit, Phase.generate], derandomize=True,
            database=None, suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        def check(case: Any) -> None:
            case.call_and_validate(headers={"Authorization": f"Bearer {TOKEN}"}, **options)

        given(operation.as_strategy(generation_mode=mode))(check)()


@pytest.mark.parametrize("path", PATHS)
def test_what_fits_the_document_is_answered_as_it_says(schema, path):
    check_all(schema, path, schemathesis.GenerationMode.POSITIVE, 5)


@pytest.mark.parametrize("path", [path for path in PATHS if path not in ("/admin/health", "/admin/ready")])
def test_what_does_not_fit_is_refused_as_it_says(schema, path):
    # A list without items cannot be told from none in a query, and other headers are not looked at.
    ignored = [schemathesis.checks.negative_data_rejection]
    check_all(schema, path, schemathesis.GenerationMode.NEGATIVE, 3, excluded_checks=ignored)


def test_the_document_names_all_that_it_refers_to():
    text = json.dumps(document())
    names = document()["components"]["schemas"]
    assert all(f'"#/components/schemas/{name}"' in text for name in ("Stats", "Entries", "ProblemDetails"))
    assert all(one.split('"')[0] in names for one in text.split("#/components/schemas/")[1:])
