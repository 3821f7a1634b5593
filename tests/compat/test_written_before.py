"""What an earlier version has written is answered from. `scripts/write_compat.py` wrote it, at ``written-by.txt``."""

import compat_app
import pytest
from compat_data import DATA, PLACES, expected, loaded

from semantic_llm_cache import SemanticCache, get_default_backend, import_cache, invalidate, set_default_backend
from semantic_llm_cache.backends import MemoryBackend

NEW_QUESTIONS = ["Please tell me all about hail", "Please tell me about fog"]


@pytest.fixture(autouse=True)
def nothing_asked():
    compat_app.called.clear()


@pytest.fixture(params=PLACES)
async def place(request, tmp_path):
    """The default backend is a copy of what was written; the name of its place."""
    set_default_backend(await loaded(request.param, tmp_path))
    yield request.param
    backend = get_default_backend()
    await backend.clear()  # a server may be shared
    await backend.close()


@pytest.fixture(params=["memory", "sqlite"])
async def imported(request, tmp_path):
    """The default backend holds what was exported."""
    set_default_backend(MemoryBackend() if request.param == "memory" else f"sqlite:///{tmp_path / 'new.sqlite3'}")
    backend = get_default_backend()
    assert await import_cache(DATA / "export.jsonl", backend=backend) == len(expected("sqlite")["entries"])
    yield backend
    await backend.close()


async def answers():
    """Return what is wrong with the answers to all questions."""
    wrong = []
    for case in compat_app.CASES:
        value, lookup = await compat_app.ask(case)
        if (value, type(value), lookup.outcome) != (case.answer, type(case.answer), case.outcome):
            wrong.append(f"{case.name}: {value!r}, {lookup.outcome}: {lookup.reason}")
    return wrong


async def test_every_question_is_answered(place):
    assert await answers() == []
    assert compat_app.called == []


async def test_every_question_is_answered_after_an_import(imported):
    assert await answers() == []
    assert compat_app.called == []


def assert_entries(found, written):
    assert len(found) == len(written)
    for now, then in zip(found, written, strict=True):
        assert {name: now.get(name) for name in then} == then


async def test_entries_and_counters_are_read(place):
    now, then = await compat_app.contents(get_default_backend()), expected(place)
    assert_entries(now["entries"], then["entries"])
    assert now["counters"] == then["counters"]
    assert (await get_default_backend().get_stats())["size"] == len(then["entries"])


async def test_entries_are_read_from_an_export(imported):
    found = (await compat_app.contents(imported))["entries"]
    assert_entries(found, expected("sqlite")["entries"])


async def test_labels_are_found(place):
    entries = expected(place)["entries"]
    for tag in ("places", "streams", "advice"):
        count = sum(tag in entry["tags"] for entry in entries)
        assert count > 0
        assert await invalidate(tags=tag, backend=get_default_backend()) == count


async def test_a_function_removes_its_own(place):
    size = len(expected(place)["entries"])
    assert await compat_app.country.cache_clear() == 1
    assert await compat_app.chat.cache_invalidate(compat_app.MESSAGES, model_name="large", temperature=0.25)
    assert (await get_default_backend().get_stats())["size"] == size - 2


async def test_the_error_budget_goes_on(place):
    [(name, before)] = expected(place)["budget"].items()
    async with SemanticCache(get_default_backend()):
        for question in NEW_QUESTIONS:
            await compat_app.learned(question)
    backend = get_default_backend()
    assert (await compat_app.contents(backend))["budget"] == {name: before + len(NEW_QUESTIONS)}


async def test_hits_are_counted_on(place):
    def hits(entries):
        return sum(entry["hit_count"] for entry in entries)

    async with SemanticCache(get_default_backend()):
        await compat_app.ask(compat_app.EXACT[0])
    now = (await compat_app.contents(get_default_backend()))["entries"]
    assert hits(now) == hits(expected(place)["entries"]) + 1


def test_the_data_say_what_wrote_them():
    commit, version = (DATA / "written-by.txt").read_text().splitlines()
    assert len(commit.removeprefix("commit ")) == 40
    assert version.startswith("version ")


async def test_the_program_fills_a_cache(tmp_path):
    set_default_backend(f"sqlite:///{tmp_path / 'cache.sqlite3'}")
    await compat_app.fill()
    backend = get_default_backend()
    found = await compat_app.contents(backend)
    await backend.close()
    assert [entry["prompt"] for entry in found["entries"]] == [e["prompt"] for e in expected("sqlite")["entries"]]
