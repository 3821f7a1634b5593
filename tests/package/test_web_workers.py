"""The recipes for Django and Celery run: the blocks of the page as files, in a Django project and in a real worker."""

import json
import os
import pathlib
import signal
import subprocess
import sys
from urllib.parse import urlsplit

import pytest
from pages import blocks
from redis_servers import own_prefix, server_url
from wire_provider import provider

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "recipes" / "web-workers.md"
FILES = {block.file: block.code for block in blocks(PAGE) if block.file}

PROJECT = """
import types

import django
from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import HttpResponse
from django.urls import path


def tenants(get_response):
    def middleware(request):
        request.user = types.SimpleNamespace(tenant_id=int(request.headers["x-tenant"]))
        return get_response(request)

    return middleware


settings.configure(
    ROOT_URLCONF="project",
    ALLOWED_HOSTS=["*"],
    MIDDLEWARE=["django.middleware.locale.LocaleMiddleware", "project.tenants"],
)
django.setup()
from answers import services, views


async def aask(request):
    answer = sync_to_async(services.answer)
    return HttpResponse(await answer(request.GET["question"], tenant_id=1, language="en"))


urlpatterns = [path("ask/", views.ask), path("aask/", aask)]
"""

VISITS = """
import asyncio
import json

import project
from django.test import AsyncClient, Client, RequestFactory

from semantic_llm_cache.exceptions import CacheKeyError

RESET = "How do I reset my password?"


def ask(question=RESET, tenant="1", language="en"):
    headers = {"x-tenant": tenant, "accept-language": language}
    return Client().get("/ask/", {"question": question}, headers=headers).json()


found = [ask(), ask(), ask("How can I reset my password?"), ask(tenant="2"), ask(language="de")]
again = asyncio.run(AsyncClient().get("/aask/", {"question": RESET}, headers={"x-tenant": "1"})).content.decode()
try:
    project.services.answer(RESET, tenant_id=RequestFactory().get("/"), language="en")
except CacheKeyError:
    print(json.dumps([found, again]))
"""

CELERY = """
import json
from tasks import summarize

first = summarize.delay("The first text.").get(timeout=50)
pair = [summarize.delay("The second text.") for _ in range(2)]
same = [each.get(timeout=50) for each in pair]
again = summarize.delay("The second text.").get(timeout=50)
print(json.dumps([first, *same, again]))
"""


@pytest.fixture
def server():
    with provider() as running:
        yield running


@pytest.fixture
def environ(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = {"OPENAI_BASE_URL": f"{server.url}/v1", "OPENAI_API_KEY": "sk-local", "SEMANTIC_LLM_CACHE_URL": "memory://"}
    return {**os.environ, **given}


def run(code, name, environ):
    pathlib.Path(name).write_text(code, encoding="utf-8")
    done = subprocess.run([sys.executable, name], env=environ, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_recipe_for_django_runs_in_a_project(server, environ):
    pathlib.Path("answers").mkdir()
    pathlib.Path("answers/__init__.py").touch()
    for name in ("answers/services.py", "answers/views.py"):
        pathlib.Path(name).write_text(FILES[name], encoding="utf-8")
    pathlib.Path("project.py").write_text(PROJECT, encoding="utf-8")
    found, again = run(VISITS, "visits.py", environ)
    assert [each["cache"] for each in found] == ["miss", "exact", "near", "miss", "miss"]
    assert server.calls == 3
    assert found[0]["answer"] == found[2]["answer"] == again


@pytest.mark.skipif("REDIS_URL" in os.environ, reason="Celery leaves keys of its own on the server")
def test_the_recipe_for_celery_runs_in_a_worker(server, environ):
    url = f"redis://{urlsplit(server_url('search')).netloc}"
    prefix = f"?prefix={own_prefix()}"
    code = FILES["tasks.py"].replace("redis://localhost:6379/0", f"{url}/0{prefix}")
    code = code.replace("redis://localhost:6379", url)
    pathlib.Path("tasks.py").write_text(code, encoding="utf-8")
    server.fail = [400]  # the first attempt
    words = ["worker", "--concurrency=2", "--loglevel=warning", "--without-gossip", "--without-mingle"]
    with open("log", "wb") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "tasks", *words], env=environ, stdout=log, stderr=log
        )
    try:
        first, *others = run(CELERY, "client.py", environ)
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(20)
    assert "(2)" in first  # the second attempt
    assert len(set(others)) == 1
    assert server.calls == 3
