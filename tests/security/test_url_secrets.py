"""URLs are never shown with what may be a password, however they were mistyped."""

import asyncio
import io
import logging
import re
import traceback
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from semantic_llm_cache import SemanticCache, clear_cache, get_default_backend, set_default_backend
from semantic_llm_cache.backends import PostgresBackend, RedisBackend, SQLiteBackend, resolve_backend
from semantic_llm_cache.cli import main
from semantic_llm_cache.redaction import origin_of, without_urls
from semantic_llm_cache.similarity.openai import OpenAIEmbeddingProvider

CORE = "hush"
SCHEMES = (
    "redis", "rediss", "redis+cluster", "redis+sentinel", "unix", "postgresql", "postgres", "sqlite", "memory",
    "reddis", "mysql", "http", "REDIS",
)  # fmt: skip
# {s}: the scheme, {p}: the secret as it is, {q}: percent-encoded. The host refuses connections.
FORMS = (
    "{s}://user:{q}@127.0.0.1:1/0",
    "{s}://user:{p}@127.0.0.1:1/0",
    "{s}://{p}@127.0.0.1:1/0",
    "{s}://{p}:{p}@127.0.0.1:notaport/0",
    "{s}://user:{p}@127.0.0.1:1:2/0",
    "{s}://user:{p}@127.0.0.1:99999/0",
    "{s}://user:{p}@[::1/0",
    "{s}://[user:{p}@127.0.0.1/0",
    "{s}://user:{p}@/0",
    "{s}://user:{p}@127.0.0.1:1,127.0.0.1:2/0",
    "{s}://user:{p}@h\u2100st/0",
    "{s}://user:{p}@127.0.0.1:1/0/0",
    "{s}://user:{q}@127.0.0.1:1/0?nonsense=1",
    "{s}://user:{q}@127.0.0.1:1/0?timeout=long",
    "{s}://127.0.0.1:1/0?password={q}",
    "{s}://127.0.0.1:1/0?password={p}",
    "{s}://127.0.0.1:1/0?sslpassword={q}&ssl_keyfile_password={q}&sentinel_password={q}",
    "{s}://127.0.0.1:1/0?token={p}",
    "{s}://127.0.0.1:1/0?{q}",
    "{s}://127.0.0.1:1/0?timeout={q}",
    "{s}://127.0.0.1:1/0?max_size={q}",
    "{s}://127.0.0.1:1/0#{p}",
    "{s}://127.0.0.1:1/0?host=user:{q}@h&dbname=u:{q}@h",
    "{s}:///0?dbname=postgresql://u:{q}@h",
    "{s}:///socket?password={q}",
    "{s}:///redis://user:{p}@host",
    "{s}://user:{p}",
    "{s}:/user:{p}@127.0.0.1:1/0",
    "{s}:user:{p}@127.0.0.1:1/0",
    "{s}//user:{p}@127.0.0.1:1/0",
    "user:{p}@127.0.0.1:1/0",
    "//user:{p}@127.0.0.1:1/0",
    ":{p}@127.0.0.1",
    "url={s}://user:{p}@127.0.0.1:1/0",
    " {s}://user:{p}@127.0.0.1:1/0",
    "{s}://user:{p}@127.0.0.1:1/0 ",
    "{p}@{s}://127.0.0.1:1",
)
MIXED = st.text(st.sampled_from("/?#@:[]%& '\"\\=+,.;é1aZ\u2100"), max_size=6)
# After an `@` the rest is the host, which is shown: a password that holds one and is not quoted cannot be told from it.
SECRETS = st.builds(lambda before, after: f"{before.replace('@', '')}{CORE}{after}", MIXED, MIXED)
# Without a host, a password that begins like a port reads as one, and what follows as a second host or a name.
NO_HOST = re.compile(r"(redis\+cluster:.*:\d+,|(redis\+sentinel|postgres(ql)?):.*:\d+[,/])[^@]*\Z", re.DOTALL)
URLS = st.builds(
    lambda form, scheme, secret: form.format(s=scheme, p=secret, q=quote(secret, safe="")),
    st.sampled_from(FORMS),
    st.sampled_from(SCHEMES),
    SECRETS,
).filter(lambda url: not NO_HOST.match(url.strip()))


def shown_by(make):
    """Return all that a call shows: reprs, URL, or the whole error as a traceback would print it."""
    try:
        made = make()
    except (ValueError, TypeError) as error:
        return f"{error!r} {''.join(traceback.format_exception(error))}"
    return f"{made!r} {made} {getattr(made, 'url', '')}"


class Holder:
    """A URL object of some library, whose repr shows all."""

    def __init__(self, url):
        self.url = url

    def __repr__(self):
        return f"Url({self.url})"


@settings(max_examples=400, deadline=None)
@given(URLS)
@example("redis://user:12/hush@host")
@example("redis://user:pa?hush=1@host")
@example("postgresql://user:a/hush@127.0.0.1/db")
@example("sqlite://user:hush@host/cache.db")
@example("redis+cluster://user:,hush")
@example('redis+cluster://user:,"hush')
@example("redis+sentinel://user:/hush")
@example("postgresql://user:/hush")
def test_backends_and_their_errors(url):
    shown = [
        shown_by(lambda: resolve_backend(url)),
        shown_by(lambda: resolve_backend(url.encode())),
        shown_by(lambda: resolve_backend(Holder(url))),
        shown_by(lambda: RedisBackend(url)),
        shown_by(lambda: PostgresBackend(url)),
        shown_by(lambda: SemanticCache(url).backend),
        shown_by(lambda: set_default_backend(url) or get_default_backend()),
        shown_by(lambda: asyncio.run(clear_cache(backend=Holder(url)))),
        origin_of(url) if url.partition(":")[0].isalpha() else "",
    ]
    if "://" in url:
        shown.append(shown_by(lambda: SQLiteBackend(url)))
    for text in shown:
        assert CORE not in text.casefold(), text


@settings(max_examples=200, deadline=None)
@given(URLS)
def test_embedding_servers(url):
    text = shown_by(lambda: OpenAIEmbeddingProvider(base_url=url, api_key="k").fingerprint)
    assert CORE not in text.casefold(), text


def test_a_key_in_the_path_of_an_embedding_server_is_hashed():
    one, other = (
        OpenAIEmbeddingProvider(base_url=f"https://gate.example/{key}/v1", api_key="k").fingerprint
        for key in ("hush0123456789abcdef", "hush0123456789abcdeg")
    )
    assert "hush" not in one
    assert one != other


def test_the_variable_is_named(monkeypatch):
    monkeypatch.setenv("SEMANTIC_LLM_CACHE_URL", "reddis://user:hush@host")
    set_default_backend(None)
    with pytest.raises(ValueError, match=r"SEMANTIC_LLM_CACHE_URL: .*reddis://") as raised:
        get_default_backend()
    assert "hush" not in str(raised.value)


COMMANDS = (
    ["stats", "--url", "{}"],
    ["stats", "--db", "{}"],
    ["stats", "{}"],
    ["{}"],
    ["ls", "--url", "{}", "--limit", "{}"],
    ["copy", "{}", "{}"],
    ["copy", "no-such-file.db", "{}", "--dry-run"],
    ["export", "-", "--url", "{}"],
    ["export", "{}", "--db", "no-such-file.db"],
    ["import", "{}", "--db", "x.db"],
    ["reembed", "{}"],
    ["warm", "{}", "--url", "{}"],
    ["explain", "a question", "--url", "{}", "--embedder", "dummy"],
    ["invalidate", "x", "--url", "{}"],
    ["clear", "--yes", "--url", "{}"],
)


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(COMMANDS), URLS)
@example(["stats", "--url", "{}"], "sqlite:///redis://user:hush#@host")
@example(["stats", "--url", "{}"], "sqlite:/user:hush#@127.0.0.1:1/0")
def test_commands(tmp_path_factory, command, url):
    folder = tmp_path_factory.mktemp("commands")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        out, err = io.StringIO(), io.StringIO()
        patch.setattr("sys.stdout", out)
        patch.setattr("sys.stderr", err)
        assert main([word.format(url) for word in command]) != 0
    text = out.getvalue() + err.getvalue()
    assert "Traceback" not in text
    assert CORE not in text.casefold(), text


@pytest.mark.parametrize(
    "url",
    ["redis://hush:hush@127.0.0.1:1/0", "postgresql://hush:hush@127.0.0.1:1/db?sslpassword=hush", "rediss://:hush@127.0.0.1:1",
     "postgresql://hush:hush@127.0.0.1:1/db?sslmode=hush", "postgresql://hush:hush@127.0.0.1:1/db?sslnegotiation=hush",
     "redis+sentinel://hush:hush@127.0.0.1:1/m?sentinel_password=hush", "redis+cluster://hush:hush@127.0.0.1:1",
     "unix://hush:hush@/no/such/socket"],
)  # fmt: skip
async def test_drivers_that_cannot_connect(url, caplog):
    caplog.set_level(logging.DEBUG)
    engine = SemanticCache(url)

    @engine.cache()
    async def ask(prompt: str):
        return "an answer"

    for _ in range(4):
        assert await ask("a question") == "an answer"
    with pytest.raises(Exception) as raised:
        await engine.backend.get("k")
    await engine.close()
    await engine.backend.close()
    assert "hush" not in caplog.text
    assert "hush" not in f"{raised.value!r} {engine.backend!r}"
    assert "failed (" in caplog.text


def test_text_with_urls():
    assert without_urls("cannot reach redis://u:hush@h:1/0?x=1 now") == "cannot reach redis://h:1 now"
    assert without_urls("no such file: user:hu sh@host", ["user:hu sh@host"]) == "no such file: a URL"
    assert without_urls("12:30 is a time, and a@b an address") == "12:30 is a time, and a@b an address"
