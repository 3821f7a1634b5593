"""`semantic-llm-cache dashboard`: the dashboard of a file, beside the programs that use it."""

import os
import re
import signal
import socket
import subprocess
import sys

import httpx
import pytest
from admin_helpers import TOKEN
from cli_helpers import ENTRIES, interruptible

from semantic_llm_cache.cli.top import TOKEN_VARIABLE


def test_it_serves_the_cache_in_a_file_until_it_is_interrupted(db):
    command = [sys.executable, "-m", "semantic_llm_cache", "dashboard", "--db", str(db), "--port", "0", "--no-open"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        preexec_fn=interruptible,
    ) as process:
        try:
            found = re.fullmatch(
                r"Dashboard: (http://127\.0\.0\.1:\d+)/dashboard/login#token=(\S+)\n", process.stdout.readline()
            )
            url, token = found.groups()
            with httpx.Client(base_url=url, follow_redirects=True, trust_env=False) as browser:
                assert "Admin token" in browser.get("/").text
                assert "Top entries" in browser.post("/dashboard/login", data={"token": token}).text
                shown = browser.get("/admin/entries").json()["entries"]
                assert len(shown) == len(ENTRIES)
                verdict = browser.post("/admin/reports", json={"lookup": shown[0]["key"], "verdict": "wrong"})
                assert verdict.json()["outcome"] == "evicted"
        finally:
            process.send_signal(signal.SIGINT)
        code = process.wait(20)
        out, err = process.stdout.read(), process.stderr.read()
    assert (code, out, err) == (0, "Ctrl-C ends it.\n", "")


@pytest.mark.parametrize(
    ("more", "code", "says"),
    [
        (("--host", "0.0.0.0"), 2, "can be reached from other machines"),
        (("--port", "70000"), 2, "a port from 0 to 65535"),
        (("--token-file", "none.txt"), 1, "--token-file: none.txt cannot be read"),
        (("--host", "no-such-name.invalid"), 2, "can be reached from other machines"),
    ],
)
def test_what_it_refuses(run, db, more, code, says):
    found, _, err = run("dashboard", "--db", db, "--no-open", *more)
    assert (found, len(err.splitlines())) == (code, 1)
    assert says in err


def test_a_missing_file_a_short_token_and_a_taken_port_are_errors(run, db, tmp_path, monkeypatch):
    assert "does not exist" in run("dashboard", "--db", tmp_path / "no.db")[2]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, _, err = run("dashboard", "--db", db, "--no-open", "--port", taken.getsockname()[1])
        assert (code, "Name another one with --port" in err) == (1, True)
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN[:8])
    code, _, err = run("dashboard", "--db", db, "--no-open")
    assert (code, "16 or more" in err) == (2, True)
    assert TOKEN[:8] not in err
