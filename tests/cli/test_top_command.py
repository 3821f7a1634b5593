"""`semantic-llm-cache top`, against a server on this machine."""

import asyncio
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time

import pytest
import uvicorn
from admin_helpers import TOKEN, ask, embed
from cli_helpers import interruptible, read_terminal
from raw_provider import raw_provider, response
from starlette.applications import Starlette

from semantic_llm_cache import SemanticCache
from semantic_llm_cache.calls.lookup import Lookup
from semantic_llm_cache.cli.top import TOKEN_VARIABLE
from semantic_llm_cache.server.admin import admin_routes
from semantic_llm_cache.server.operator import Operator


@pytest.fixture(scope="module")
def server():
    """The URL of a server with some calls behind it."""
    operator = Operator()
    cache = SemanticCache("memory://", embedder=embed, guards=None, similarity=0.95)
    operator.add(cache)

    async def fill():
        for text in ("What is Python?", "What is Python?", "What's Python?", "red \x1b[31malert"):
            await ask(cache, text)
        operator.history.record(Lookup("miss", stored_reason="refusal"))

    asyncio.run(fill())
    app = Starlette(routes=admin_routes(operator, TOKEN))
    running = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}"
    running.should_exit = True
    thread.join()


def test_one_frame_shows_the_calls(run, server, monkeypatch):
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    code, out, err = run("top", server, "--once")
    assert (code, err) == (0, "")
    assert "5 calls  hit rate 40.0 %" in out
    assert re.search(r"near\s+0\.980\s.* default\s+What's Python\?", out)
    assert "\x1b" not in out
    assert "red \\x1b[31malert" in out
    assert "Not stored: refusal 1" in out


def test_the_token_may_be_in_a_file(run, server, tmp_path):
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    assert run("top", server, "--once", "--token-file", file)[0] == 0
    file.write_text("two words")
    assert run("top", server, "--once", "--token-file", file)[0] == 1
    assert run("top", server, "--once", "--token-file", tmp_path / "none")[0] == 1


@pytest.mark.parametrize(
    ("url", "code", "words"),
    [
        ("127.0.0.1:8080", 2, "URL must be"),
        ("http://", 2, "URL must be"),
        ("http://[", 2, "URL must be"),
        ("redis://127.0.0.1", 2, "URL must be"),
        ("http://user:secret@127.0.0.1:1", 2, "URL must be"),
        ("http://127.0.0.1:port", 2, "URL must be"),
        ("http://127.0.0.1:1", 1, "no server answers at http://127.0.0.1:1"),
        (None, 1, f"pass it as --token-file, or set {TOKEN_VARIABLE}"),
        ("/elsewhere", 1, "no admin API"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(run, server, url, code, words):
    given = server if url is None else server + url if url.startswith("/") else url
    status, out, err = run("top", given, "--once")
    assert (status, out, err.count("\n")) == (code, "", 1)
    assert words in err
    assert "secret" not in err


@pytest.mark.parametrize("body", [b"{}", b"[]", b"5", b'{"total": []}', b"[" * 100_000], ids=lambda body: f"{body[:9]}")
def test_another_server_is_named_as_one(run, body):
    with raw_provider() as other:
        other.reply = response(body)
        status, out, err = run("top", other.url, "--once")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert "is not the server of this cache" in err


def test_it_follows_until_it_is_interrupted(server):
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "semantic_llm_cache", "top", server, "--interval", "0.2"]
    environment = {**os.environ, TOKEN_VARIABLE: TOKEN, "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment, preexec_fn=interruptible) as process:
        os.close(theirs)
        seen = b""
        while seen.count(b"hit rate") < 2:
            seen += os.read(ours, 65536)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    assert "Traceback" not in seen.decode(errors="replace") + read_terminal(ours)
