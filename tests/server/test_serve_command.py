"""The command `serve`, and the app under other servers."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from semantic_llm_cache.backends import EncryptedBackend
from semantic_llm_cache.cli import main
from semantic_llm_cache.server.application import EnvironmentApp, create_app
from semantic_llm_cache.server.loading import PREFIX
from semantic_llm_cache.server.settings import Settings

BODY = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


def test_check_says_what_the_settings_do(capsys, monkeypatch):
    monkeypatch.setenv("OPENAI_KEY", "sk-secret")
    words = ["serve", "--upstream", "https://api.openai.com/v1", "--upstream", "claude=https://api.anthropic.com"]
    assert main([*words, "--url", "redis://me:pw@host:6379/0", "--set", "max_body=1000", "--check"]) == 0
    out = capsys.readouterr().out
    for text in ("127.0.0.1:8080", "https://api.openai.com/v1", "/claude/", "redis://host:6379", "max_body", "1000"):
        assert text in out
    assert "pw" not in out


def test_check_warns_of_what_is_likely_not_meant(capsys):
    words = ["serve", "--workers", "2", "--host", "0.0.0.0", "--check"]
    assert main([*words, "--set", 'upstream={"default": {"url": "https://h", "key_env": "NO_SUCH_KEY"}}']) == 0
    out = capsys.readouterr().out
    assert "each worker has a cache of its own" in out
    assert "NO_SUCH_KEY is not set" in out
    assert "anybody who can reach" in out


@pytest.mark.parametrize("words", [["--set", "port"], ["--set", "prt=1"], ["--set", "upstream=ftp://x"]])
def test_wrong_settings_end_with_code_2_and_a_line_for_each(capsys, words):
    assert main(["serve", "--upstream", "https://h", *words]) == 2
    assert capsys.readouterr().err.startswith("semantic-llm-cache: ")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--url", "redsi://me:pw@host/0"], "did you mean redis://"),
        (["--url", "sqlite:///cache.db?max_sise=1"], "max_sise"),
        (["--similarity", "0.9", "--set", "embedder=nonsense"], "nonsense"),
        (["--set", "max_error=0.01", "--set", "max_error_per_hit=2"], "max_error_per_hit"),
    ],
)
def test_check_makes_what_the_server_is_made_of(capsys, more, said):
    assert main(["serve", "--upstream", "https://h", *more, "--check"]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert "pw" not in err
    assert "Traceback" not in err


@contextlib.contextmanager
def serving(tmp_path, *words):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    command = [sys.executable, "-m", "semantic_llm_cache", "serve", "--port", str(port), *words]
    with open(tmp_path / "log", "w+") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ})
        try:
            end = time.monotonic() + 30
            while True:
                with contextlib.suppress(httpx.ConnectError):
                    httpx.get(f"http://127.0.0.1:{port}/healthz")
                    break
                assert process.poll() is None, (tmp_path / "log").read_text()
                assert time.monotonic() < end
                time.sleep(0.05)
            yield process, f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


def test_several_workers_share_one_cache_and_end_cleanly(server, tmp_path):
    with serving(tmp_path, "--upstream", server.url, "--url", f"sqlite:///{tmp_path}/cache.db", "--workers", "2") as (
        process,
        url,
    ):
        replies = []
        for _ in range(12):  # a connection each, so that both workers are met
            replies.append(httpx.post(f"{url}/v1/chat/completions", json=BODY, headers={"connection": "close"}))
        assert [reply.headers["x-cache"] for reply in replies] == ["MISS"] + ["HIT"] * 11
        assert max(reply.elapsed.total_seconds() for reply in replies[4:]) < 1
        assert httpx.patch(f"{url}/admin/settings/proxy", json={"ttl": 60}).status_code == 200
    assert server.calls == 1
    assert process.returncode in (0, -signal.SIGTERM)
    log = (tmp_path / "log").read_text()
    assert "Traceback" not in log
    assert re.search(
        r"INFO:\s+semantic-llm-cache: settings by .*: '?proxy", log
    )  # the cache's own lines are logged too


async def start(app):
    """Return the app's answer to the start of its lifespan."""
    sent = []

    async def receive():
        return {"type": "lifespan.startup"}

    async def send(message):
        sent.append(message)

    await app({"type": "lifespan"}, receive, send)
    return sent[0]


async def test_the_app_of_the_environment_does_not_start_with_wrong_settings(monkeypatch):
    monkeypatch.setenv(f"{PREFIX}PRT", "1")
    answer = await start(EnvironmentApp())
    assert answer["type"] == "lifespan.startup.failed"
    assert "unknown setting 'prt'" in answer["message"]


@pytest.mark.parametrize("key", ["", "ef" * 32])
async def test_the_app_does_not_start_on_a_cache_of_which_it_lacks_the_key(monkeypatch, tmp_path, key):
    url = f"sqlite:///{tmp_path}/sealed.db"
    async with EncryptedBackend(url, "cd" * 32) as backend:
        await backend.set_state("a", b"b")
    monkeypatch.setenv("SEMANTIC_LLM_CACHE_ENCRYPTION_KEY", key)
    app = create_app(Settings(upstream="https://h", url=url))
    answer = await start(app)
    await app.aclose()
    assert answer["type"] == "lifespan.startup.failed"
    assert "SEMANTIC_LLM_CACHE_ENCRYPTION_KEY" in answer["message"]


@pytest.mark.parametrize(
    ("settings", "loads"),
    [
        ({"similarity": 0.9}, True),
        ({"max_error": 0.02}, True),
        ({"rules": [{"name": "near", "model": "m*", "similarity": 0.9, "history": "window:2"}]}, True),
        ({}, False),
    ],
)
async def test_the_app_loads_at_its_start_what_near_hits_need(tmp_path, settings, loads):
    app = create_app(Settings(upstream="https://h", url=f"sqlite:///{tmp_path}/a.db", embedder="dummy", **settings))
    answer = await start(app)
    assert answer == {"type": "lifespan.startup.complete"}
    assert app.doors.engine.bound()[1].searched is loads
    await app.aclose()


async def test_the_app_is_mounted_below_a_path(server, monkeypatch):
    from semantic_llm_cache.server import app

    assert isinstance(app, EnvironmentApp)
    monkeypatch.setenv(f"{PREFIX}UPSTREAM", f"{server.url}/v1")
    monkeypatch.setenv(f"{PREFIX}URL", "memory://")
    mounted = EnvironmentApp()
    outer = Starlette(routes=[Mount("/llm", app=mounted)])
    transport = httpx.ASGITransport(app=outer)
    async with httpx.AsyncClient(transport=transport, base_url="http://outer") as client:
        for outcome in ("MISS", "HIT"):
            reply = await client.post("/llm/v1/chat/completions", json=BODY)
            assert (reply.status_code, reply.headers["x-cache"]) == (200, outcome)
        assert (await client.get("/llm/healthz")).json()["status"] == "ok"
    await mounted.aclose()
    assert server.seen[0][0] == "/v1/chat/completions"
