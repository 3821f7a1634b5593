"""Halves of surrogate pairs and U+0000 are text like any other: in answers, prompts, scopes, tags and namespaces."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semantic_llm_cache import CacheContext, SemanticCache, copy_cache, export_cache, import_cache, last_lookup
from semantic_llm_cache.backends import MemoryBackend, SQLiteBackend
from semantic_llm_cache.values.encoding import dumps, loads, same
from semantic_llm_cache.values.odd_text import escape, portable, unescape

ODD = ["cut \ud83d", "pair \ud83d\ude00 \U0001f600", "nul \x00 x", "mark \ufdd0\U000fd83d \ufdd0"]
texts = st.text(st.sampled_from('ab\x00\ud83d\ude00\ufdd0\U0001f600\U000fd83d\U000fde00é"\\'), max_size=12)


@settings(max_examples=200, deadline=None)
@given(texts)
def test_any_text_is_written_and_read_back(text):
    for nul in (False, True):
        written = escape(text, nul=nul)
        assert unescape(written) == text
        written.encode()
        assert not nul or "\x00" not in written
    value = {text: [text, (text,)], "$": text}
    stored = dumps(value)
    stored.encode()
    assert same(loads(stored), value)
    line = portable(json.dumps(text, ensure_ascii=False))
    line.encode()
    assert json.loads(unescape(line)) == text


def test_what_needs_no_escape_is_left_alone():
    for text in ("", "plain", "nul \x00", "Tōkyō \U0001f600 \U000fd83d \uffff"):
        assert escape(text) is text
        assert unescape(text) is text
    assert portable('"cut \ud83d"') == '"cut \\ud83d"'
    assert escape("é" * 200_000 + "\ud83d").endswith("é\ufdd0\U000fd83d")


async def ask_twice(engine, text):
    calls = []

    @engine.cache(scope={"tenant": text}, tags=[text])
    async def ask(prompt: str, style: str = ""):
        calls.append(prompt)
        return {"answer " + text: [prompt]}

    for _ in range(2):
        assert await ask(text, style=text) == {"answer " + text: [text]}
        assert last_lookup().outcome == ("miss" if not _ else "exact")
        with CacheContext(namespace=f"inner {text}"):
            await ask(text)
    assert len(calls) == 2
    return ask


@pytest.mark.parametrize("url", ["memory://", "sqlite"])
async def test_prompts_with_odd_text_hit(url, tmp_path):
    backend = MemoryBackend() if url != "sqlite" else SQLiteBackend(tmp_path / "c.db", front_size=0)
    for text in ODD:
        engine = SemanticCache(backend, namespace=text)
        ask = await ask_twice(engine, text)
        for name in ("x.json", "x.jsonl"):
            await export_cache(filepath=tmp_path / name, backend=backend)
            other = MemoryBackend()
            assert await import_cache(tmp_path / name, backend=other) == 2
            assert facts(await other.iterate()) == facts(await backend.iterate())
        copied = MemoryBackend()
        await copy_cache(backend, copied)
        assert facts(await copied.iterate()) == facts(await backend.iterate())
        await ask.cache_clear()
    await backend.close()


def facts(entries):
    return sorted(
        (key, entry.prompt, entry.namespace, entry.tags, repr(loads(dumps(entry.response)))) for key, entry in entries
    )


def test_the_langchain_cache_takes_any_text():
    from langchain_core.outputs import Generation

    from semantic_llm_cache.integrations.langchain import LangChainCache

    cache = LangChainCache(backend="memory://")
    for text in ODD:
        cache.update(text, f"model {text}", [Generation(text=text)])
        (found,) = cache.lookup(text, f"model {text}")
        assert found.text == text
        assert cache.lookup(text + " ", f"model {text}!") is None
