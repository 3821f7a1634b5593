"""`copy` and `reembed`: files and servers, progress, what is said, and what happens when they are broken off."""

import json
import os
import pty
import signal
import subprocess
import sys
import time

import pytest
from cli_helpers import ENTRIES, entry, fill, interruptible, read, read_terminal, vector
from postgres_servers import own_schema
from postgres_servers import server_url as postgres_url
from redis_servers import own_prefix
from redis_servers import server_url as redis_url

from semantic_llm_cache.similarity import create_embedding_provider


def command(*argv, **options):
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "preexec_fn": interruptible}
    given.update(options)
    return subprocess.Popen([sys.executable, "-m", "semantic_llm_cache", *map(str, argv)], **given)


def many(path, count, **fields):
    fill(
        path,
        {f"k{n:05d}": entry(f"question number {n}", "y" * 200, embedding=vector(n), **fields) for n in range(count)},
    )


@pytest.fixture
def places(tmp_path):
    redis, postgres = redis_url("vectorset"), postgres_url()
    return {
        "redis": f"{redis}?prefix={own_prefix()}",
        "postgres": f"{postgres}{'&' if '?' in postgres else '?'}schema={own_schema(postgres)}",
        "sqlite": f"sqlite:///{tmp_path / 'other.db'}",
    }


# ------------------------------------------------------------------------------ copy


def test_copy_from_a_file_to_servers_and_back(run, db, tmp_path, places):
    start = db
    for name in ("redis", "postgres", "sqlite"):
        code, out, _ = run("copy", start, places[name])
        assert code == 0
        assert out.startswith("Copied 4 entries to ")
        start = places[name]
    assert read(tmp_path / "other.db") == ENTRIES
    assert list(read(tmp_path / "other.db")["aa11-python"].embedding) == pytest.approx(list(vector(1)))


def test_copy_says_what_it_left(run, db, tmp_path):
    other = tmp_path / "b.db"
    fill(other, {"aa11-rust": entry("What is Rust?", "newer", age=1), "cc33-evil": ENTRIES["cc33-evil"]})
    code, out, _ = run("copy", db, other)
    assert (code, out.splitlines()[0]) == (0, f"Copied 2 entries to sqlite:///{other}.")
    assert "1 there already" in out
    assert "1 left: DST has a newer one (--overwrite replaces it)" in out
    code, out, _ = run("copy", db, other, "--overwrite")
    assert out.startswith("Copied 1 entry to")
    assert "1 of them in place of another" in out
    assert read(other) == ENTRIES


def test_copy_dry_run_makes_no_file(run, db, tmp_path):
    code, out, _ = run("copy", db, tmp_path / "b.db", "--dry-run", "--namespace", "docs")
    assert (code, out) == (0, f"Would copy 2 entries to {tmp_path / 'b.db'}.\n")
    assert not (tmp_path / "b.db").exists()


def test_copy_json(run, db, tmp_path):
    code, out, err = run("copy", db, tmp_path / "b.db", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["total"], found["copied"], found["there"], found["dry_run"]) == (4, 4, 0, False)


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (("copy", "{db}", "{db}"), 2, "same place"),
        (("copy", "{db}", "sqlite:///{db}"), 2, "same place"),
        (("copy", "{db}", "{db}", "--dry-run"), 2, "same place"),
        (("copy", "nope.db", "{db}"), 1, "the file does not exist"),
        (("copy", "{db}", "nowhere/b.db"), 1, "its directory does not exist"),
        (("copy", "{db}", "memory://"), 2, "lives inside one process"),
        (("copy", "{db}", "nope://x"), 2, "not known"),
        (("reembed", "nope.db", "--model", "dummy"), 1, "the file does not exist"),
        (("reembed", "{db}", "--model", "nope"), 2, "--model nope: unknown embedding provider"),
        (("reembed", "{db}", "--model", "int8"), 2, "use 'onnx:int8'"),
        (("reembed", "{db}", "--url", "sqlite:///{db}", "--model", "dummy"), 2, "named twice"),
        (("reembed", "--model", "dummy"), 2, "which cache?"),
    ],
)
def test_what_cannot_be_done_is_one_line(run, db, argv, code, said):
    got, out, err = run(*(part.format(db=db) for part in argv))
    assert (got, out) == (code, "")
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "argv",
    [
        ("copy", "a.db"),
        ("copy", "a.db", "b.db", "--batch", "0"),
        ("reembed", "a.db"),
        ("reembed", "a.db", "--model", "dummy", "--rate", "0"),
        ("reembed", "a.db", "--model", "dummy", "--pause", "soon"),
    ],
)
def test_a_wrong_command_line_is_2(run, argv):
    assert run(*argv)[0] == 2


def test_copy_shows_its_progress_in_a_few_lines_or_on_a_terminal_in_one(tmp_path):
    many(tmp_path / "a.db", 60)
    process = command("copy", tmp_path / "a.db", tmp_path / "b.db", "--batch", "10")
    out, err = process.communicate(timeout=60)
    assert out == f"Copied 60 entries to sqlite:///{tmp_path / 'b.db'}.\n"
    assert err.splitlines()[-1] == "60/60  entries read, 60 copied"
    assert len(err.splitlines()) == 5
    ours, theirs = pty.openpty()
    process = command("copy", tmp_path / "a.db", tmp_path / "c.db", stderr=theirs)
    os.close(theirs)
    assert process.communicate(timeout=60)[0].startswith("Copied 60")
    shown = read_terminal(ours)
    assert "60/60" in shown
    assert shown.count("\n") == 1
    assert shown.rstrip().endswith("\x1b[1A\x1b[2K")  # up again, and the one line is erased


def _broken_off(process, number):
    """Send a signal once the command has said that it is at work."""
    assert process.stderr.readline()
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_copy_broken_off_goes_on_when_run_again(run, tmp_path, number):
    many(tmp_path / "a.db", 3000)
    code, out, err = _broken_off(command("copy", tmp_path / "a.db", tmp_path / "b.db", "--batch", "1"), number)
    assert out == ""
    if number == signal.SIGINT:
        assert code == 130
        assert "run it again to go on" in err
    before = len(read(tmp_path / "b.db"))
    assert 0 < before < 3000
    code, out, _ = run("copy", tmp_path / "a.db", tmp_path / "b.db", "--json")
    found = json.loads(out)
    assert (code, found["there"], found["copied"]) == (0, before, 3000 - before)
    assert read(tmp_path / "b.db") == read(tmp_path / "a.db")


# ------------------------------------------------------------------------------ reembed


def test_reembed_moves_what_another_model_made(run, db):
    code, out, err = run("reembed", db, "--model", "onnx")
    name = create_embedding_provider("onnx").fingerprint
    assert (code, out.splitlines()[0]) == (0, f"Moved 1 entry to {name}.")
    assert "3 left without a vector (--missing gives them one)" in out
    assert err
    found = read(db)
    assert {key: e.embedder for key, e in found.items() if e.embedder} == {"aa11-python": name}
    assert found["aa11-python"].response == "A language."
    code, out, _ = run("reembed", f"sqlite:///{db}", "--model", "onnx", "--missing", "--namespace", "docs")
    assert out.startswith("Moved 1 entry to")
    assert "1 there already" in out
    code, out, _ = run("reembed", "--db", db, "--model", "onnx", "--missing", "--json")
    assert json.loads(out)["moved"] == 2
    assert {e.embedder for e in read(db).values()} == {name}


def test_reembed_dry_run_counts_and_estimates(run, db):
    code, out, _ = run("reembed", db, "--model", "onnx", "--dry-run", "--missing")
    assert code == 0
    assert "1 by test-embedder" in out
    assert "3 without a vector" in out
    assert "Would move 4 entries to onnx:" in out
    assert "characters to embed" in out
    assert "at the speed of this machine" in out
    assert read(db)["aa11-python"].embedder == "test-embedder"
    code, out, _ = run("reembed", db, "--model", "onnx", "--dry-run", "--missing", "--rate", "0.01", "--json")
    assert json.loads(out)["estimated_seconds"] == pytest.approx(400)


def test_reembed_dry_run_asks_no_model_that_is_paid_for(run, db, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")  # nobody is there
    code, out, _ = run("reembed", db, "--model", "openai:text-embedding-3-small", "--dry-run", "--json")
    found = json.loads(out)
    assert (code, found["moved"], found["estimated_seconds"]) == (0, 1, None)
    assert found["fingerprint"].startswith("openai:text-embedding-3-small")


def test_reembed_broken_off_goes_on_when_run_again(run, tmp_path):
    path = tmp_path / "a.db"
    many(path, 400, embedder="old")
    began = time.monotonic()
    process = command("reembed", path, "--model", "dummy", "--batch", "20", "--pause", "0.2")
    code, out, err = _broken_off(process, signal.SIGINT)
    assert (code, out) == (130, "")
    assert "run it again to go on" in err
    assert time.monotonic() - began < 30
    names = [e.embedder for e in read(path).values()]
    assert 0 < names.count("old") < 400
    code, out, _ = run("reembed", path, "--model", "dummy", "--json")
    found = json.loads(out)
    assert (found["moved"], found["current"]) == (names.count("old"), 400 - names.count("old"))
