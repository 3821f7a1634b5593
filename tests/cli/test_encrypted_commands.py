"""The commands on an encrypted cache: with its key, without, and with another one."""

import asyncio
import json
import sys

import pytest
from cli_helpers import ENTRIES

from semantic_llm_cache.backends import EncryptedBackend, SQLiteBackend
from semantic_llm_cache.storage.registry import KEY_VARIABLE

KEY, OLD, OTHER = "ab" * 32, "cd" * 32, "ef" * 32


@pytest.fixture
def sealed(tmp_path):
    path = tmp_path / "sealed.db"

    async def write():
        async with EncryptedBackend(SQLiteBackend(path), OLD) as backend:
            await backend.set_many(ENTRIES.items())

    asyncio.run(write())
    return path


WITHOUT_KEY = (
    ("ls", "--db", "SEALED"),
    ("show", "aa11", "--db", "SEALED"),
    ("export", "-", "--db", "SEALED"),
    ("stats", "--db", "SEALED"),
    ("invalidate", "x", "--db", "SEALED"),
    ("import", "EXPORT", "--db", "SEALED"),
    ("explain", "What is Python?", "--db", "SEALED"),
    ("report", "wrong", "aa11-python", "--db", "SEALED"),
    ("reembed", "SEALED", "--model", "dummy"),
    ("warm", "LOG", "--db", "SEALED"),
    ("copy", "SEALED", "NEW"),
    ("copy", "PLAIN", "SEALED"),
    ("copy", "PLAIN", "SEALED", "--dry-run"),
    ("demo", "--db", "SEALED"),
    ("dashboard", "--db", "SEALED", "--port", "0"),
)


@pytest.mark.parametrize("argv", WITHOUT_KEY, ids=" ".join)
def test_without_its_key_the_command_says_what_is_missing(run, sealed, db, tmp_path, argv, monkeypatch):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    files = {"SEALED": sealed, "PLAIN": db, "NEW": tmp_path / "new.db"}
    files |= {"EXPORT": tmp_path / "export.jsonl", "LOG": tmp_path / "log.jsonl"}
    assert run("export", files["EXPORT"], "--db", db)[0] == 0
    files["LOG"].write_text('{"prompt": "What?", "response": "That."}\n')
    before = asyncio.run(content(sealed))
    code, out, err = run(*(files.get(word, word) for word in argv))
    assert (code, out) == (2, "")
    assert f"is encrypted: it needs the key in the variable {KEY_VARIABLE}" in err
    assert asyncio.run(content(sealed)) == before
    assert not files["NEW"].exists()


async def content(path):
    async with SQLiteBackend(path) as raw:
        return sorted([key async for key, _ in raw.scan()]), await raw.list_states(), await raw.get_counters()


def test_everything_can_be_deleted_without_the_key(run, sealed, monkeypatch):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    assert json.loads(run("clear", "--db", sealed, "--yes", "--json")[1]) == {"deleted": 4}


def test_back_to_a_cache_in_clear(run, db, tmp_path, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    exported, clear = tmp_path / "export.jsonl", tmp_path / "clear.db"
    assert run("reencrypt", db, "--plain")[0] == 0
    assert run("export", exported, "--db", db)[0] == 0
    monkeypatch.delenv(KEY_VARIABLE)
    assert run("ls", "--db", db)[0] == 2
    assert run("import", exported, "--db", clear)[0] == 0
    assert "What is Python?" in run("ls", "--db", clear)[1]


def test_with_its_key_everything_works(run, sealed, tmp_path, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, OLD)
    assert "What is Python?" in run("ls", "--db", sealed)[1]
    assert "A language." in run("show", "aa11-python", "--db", sealed)[1]
    assert run("stats", "--db", sealed)[0] == 0
    exported = tmp_path / "export.jsonl"
    assert run("export", exported, "--db", sealed)[0] == 0
    assert "What is Python?" in exported.read_text()
    copied = tmp_path / "copy.db"
    assert run("copy", sealed, copied)[0] == 0
    assert b"What is Python?" not in copied.read_bytes()
    assert "What is Python?" in run("ls", "--db", copied)[1]
    code, out, _ = run("invalidate", "--tag", "plans", "--db", copied, "--json")
    assert (code, json.loads(out)) == (0, {"deleted": 1})
    assert run("clear", "--db", copied, "--yes")[0] == 0


def test_another_key_is_named_by_its_id(run, sealed, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, OTHER)
    code, out, err = run("ls", "--db", sealed)
    assert code == 1
    assert "is encrypted with another key (id" in err
    assert OTHER not in err + out
    monkeypatch.setenv(KEY_VARIABLE, "hunter2")
    code, out, err = run("ls", "--db", sealed)
    assert code == 1
    assert f"{KEY_VARIABLE} is no key of 32 bytes" in err
    assert "hunter2" not in err + out


def test_a_plain_cache_is_read_as_it_is(run, db, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    assert "What is Python?" in run("ls", "--db", db)[1]


def test_the_key_is_changed_by_one_command(run, sealed, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, f"{KEY},{OLD}")
    code, out, _ = run("reencrypt", sealed)
    assert (code, out.startswith("Encrypted 4 records with the key ")) == (0, True)
    assert json.loads(run("reencrypt", sealed, "--json")[1]) == {"encrypted": 0}
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    assert "What is Python?" in run("ls", "--db", sealed)[1]
    monkeypatch.setenv(KEY_VARIABLE, OLD)
    assert run("ls", "--db", sealed)[0] == 1


def test_a_plain_cache_is_encrypted_by_one_command(run, db, monkeypatch):
    code, _, err = run("reencrypt", db)
    assert (code, KEY_VARIABLE in err) == (2, True)
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    assert json.loads(run("reencrypt", db, "--plain", "--json")[1]) == {"encrypted": 4}
    assert "What is Python?" in run("ls", "--db", db)[1]


def test_a_plain_cache_is_left_as_it_is_without_plain(run, db, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    code, out, err = run("reencrypt", db)
    assert (code, out) == (2, "")
    assert "is not encrypted" in err
    assert "--plain" in err
    monkeypatch.delenv(KEY_VARIABLE)
    assert "What is Python?" in run("ls", "--db", db)[1]


@pytest.mark.parametrize("key", [None, OTHER])
def test_serve_does_not_start_on_a_cache_of_which_it_lacks_the_key(run, sealed, monkeypatch, caplog, key):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    words = ("serve", "--upstream", "https://h", "--url", f"sqlite:///{sealed}", "--check")
    if key is not None:
        monkeypatch.setenv(KEY_VARIABLE, key)
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert f"{sealed} is encrypted" in err
    assert KEY_VARIABLE in err
    monkeypatch.setenv(KEY_VARIABLE, OLD)
    code, out, err = run(*words)
    assert (code, err, caplog.text) == (0, "", "")
    assert "(encrypted)" in out


def test_serve_checks_no_storage_that_does_not_answer(run, tmp_path, monkeypatch):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    for url in ("redis://127.0.0.1:1/0", f"sqlite:///{tmp_path}/new.db"):
        code, _, err = run("serve", "--upstream", "https://h", "--url", url, "--check")
        assert (code, err) == (0, "")
    assert not list(tmp_path.iterdir())


def test_without_the_package_the_command_says_how_to_get_it(run, sealed, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, OLD)
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    code, _, err = run("ls", "--db", sealed)
    assert code == 1
    assert "pip install cryptography" in err
