"""`report_wrong` and `report_right` by Lookup, id and key, here and in another process, and what they leave alone."""

import asyncio
import gc
import json
import pickle

import pytest
from engine_helpers import Clock

from semantic_llm_cache import (
    CacheNotFoundError,
    Request,
    SemanticCache,
    get_stats,
    last_lookup,
    report_right,
    report_wrong,
)
from semantic_llm_cache.backends import MemoryBackend, SQLiteBackend
from semantic_llm_cache.calls.identity import Place, new_id, read_id
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.management.feedback import report

pytestmark = pytest.mark.usefixtures("only_own_engines")

ASKED, AGAIN = "What is Python?", "What's Python?"
FORMS = {
    "lookup": lambda lookup: lookup,
    "pickle": lambda lookup: pickle.loads(pickle.dumps(lookup)),
    "id": lambda lookup: lookup.id,
    "key": lambda lookup: lookup.entry_key or lookup.key,
}


@pytest.fixture(params=["memory", "sqlite"])
def backend(request, tmp_path):
    return MemoryBackend() if request.param == "memory" else SQLiteBackend(tmp_path / "cache.db")


def asking(engine):
    calls = []

    @engine.cache()
    async def ask(prompt: str) -> str:
        calls.append(prompt)
        return f"answer {len(calls)}"

    ask.calls = calls
    return ask


@pytest.mark.parametrize("form", FORMS)
async def test_every_form_evicts_the_answer_of_a_hit_or_a_stored_miss(backend, form):
    engine = SemanticCache(backend, namespace="feedback")
    ask = asking(engine)
    before = get_stats("feedback")["reported_wrong"]
    _, miss = await ask.with_lookup("a")
    place = {"backend": backend} if form == "key" else {}
    assert await report_wrong(FORMS[form](miss), **place) is True
    await ask("a")
    _, hit = await ask.with_lookup("a")
    assert (hit.outcome, len(ask.calls)) == ("exact", 2)
    assert await report_wrong(FORMS[form](hit), **place) is True
    await ask("a")
    assert len(ask.calls) == 3
    assert get_stats("feedback")["reported_wrong"] - before == 2
    await engine.close()


@pytest.mark.parametrize("form", ["lookup", "pickle", "id"])
async def test_a_newer_answer_under_the_same_key_is_left_alone(backend, form):
    clock = Clock()
    engine = SemanticCache(backend, clock=clock)
    ask = asking(engine)
    _, old = await ask.with_lookup("a")
    given = FORMS[form](old)
    clock.now += 0.001
    assert await report_wrong(old) is True
    assert (await report(given, right=False, backend=backend)).outcome == "gone"
    new = await ask("a")
    assert await report_wrong(given) is False
    done = await report(given, right=False, backend=backend)
    assert (done.outcome, done.key, done.changed) == ("replaced", old.key, False)
    assert await ask("a") == new
    assert last_lookup().outcome == "exact"
    await engine.close()


async def test_a_stale_answer_does_not_take_its_successor_along(backend):
    clock = Clock()
    engine = SemanticCache(backend, clock=clock, ttl=10, stale_while_revalidate=100)
    ask = asking(engine)
    await ask("a")
    clock.now += 20
    _, stale = await ask.with_lookup("a")
    assert stale.outcome == "stale"
    for _ in range(100):
        await asyncio.sleep(0.01)
        answer, fresh = await ask.with_lookup("a")
        if fresh.outcome == "exact":
            break
    assert answer == "answer 2"
    assert await report_wrong(stale) is False
    assert await ask("a") == "answer 2"
    assert await report_wrong(fresh) is True
    await engine.close()


async def test_joined_calls_name_the_entry_that_the_leader_stored(backend):
    engine = SemanticCache(backend, similarity=0.9)
    engine.need_embedder().load()

    @engine.cache()
    async def ask(prompt: str) -> str:
        await asyncio.sleep(0.05)
        return prompt

    found = await asyncio.gather(*(ask.with_lookup(text) for text in (ASKED, ASKED, AGAIN, AGAIN)))
    lookups = [lookup for _, lookup in found]
    assert [lookup.outcome for lookup in lookups][:2] == ["miss", "coalesced"]
    assert {read_id(lookup.id).place.key for lookup in lookups} == {lookups[0].key}
    assert await report_wrong(lookups[-1].id) is True
    assert await backend.get(lookups[0].key) is None
    await engine.close()


async def test_what_has_no_entry_cannot_be_reported():
    engine = SemanticCache("memory://", cache_if=lambda answer: False)
    _, miss = await asking(engine).with_lookup("a")
    for given in (miss, miss.id, pickle.loads(pickle.dumps(miss))):
        for verdict in (report_wrong, report_right):
            with pytest.raises(CacheNotFoundError, match="nothing to report on"):
                await verdict(given)
    shadow = SemanticCache("memory://", mode="shadow")
    ask = asking(shadow)
    await ask("a")
    _, would = await ask.with_lookup("a")
    assert would.would == "exact"
    with pytest.raises(CacheNotFoundError):
        await report_wrong(would)
    assert (await shadow.lookup(Request("n", None, "a"))).outcome == "miss"


@pytest.mark.parametrize(
    "given",
    ["", "no such key", "lk_damaged", new_id(False, Place("k", 1.0))[:-1]],
    ids=["empty", "unknown", "damaged", "cut"],  # an id is random, and each process collects the tests for itself
)
async def test_an_unknown_text_is_an_error_that_names_the_argument(given):
    with pytest.raises(ValueError, match="lookup="):
        await report_wrong(given)


async def test_a_bare_key_in_two_backends_is_ambiguous():
    one, other = MemoryBackend(), MemoryBackend()
    engines = [SemanticCache(one), SemanticCache(other)]
    for backend in (one, other):
        await backend.set("k", CacheEntry("p", "r"))
    with pytest.raises(ValueError, match=r"lookup='k' is the key of entries in [0-9]+ backends: .*backend="):
        await report_wrong("k")
    assert await report_wrong("k", backend=other) is True
    assert await report_wrong("k") is True
    del engines


async def test_an_unknown_entry_of_a_whole_id_is_gone(backend):
    given = new_id(False, Place("2:" + "0" * 40, 5.0))
    assert await report_wrong(given, backend=backend) is False
    assert (await report(given, right=True, backend=backend)).outcome == "gone"
    await backend.close()


@pytest.mark.parametrize("given", [None, 5, b"lk_", ["k"]])
async def test_another_type_is_refused(given):
    with pytest.raises(TypeError, match="lookup="):
        await report_wrong(given)


async def test_a_near_hit_teaches_by_its_id_as_by_its_lookup():
    for form in ("lookup", "pickle", "id"):
        engine = SemanticCache("memory://", similarity=0.9)
        ask = asking(engine)
        first = await ask(ASKED)
        _, near = await ask.with_lookup(AGAIN)
        assert near.outcome == "near"
        assert await report_right(FORMS[form](near)) is True
        answer, alias = await ask.with_lookup(AGAIN)
        assert (answer, alias.outcome) == (first, "exact")
        engine = SemanticCache("memory://", similarity=0.9)
        ask = asking(engine)
        await ask(ASKED)
        _, near = await ask.with_lookup(AGAIN)
        assert await report_wrong(FORMS[form](near)) is True
        await ask(ASKED)
        answer, lookup = await ask.with_lookup(AGAIN)
        assert lookup.outcome == "miss", "the pair is known to differ"
        assert "judged different before" in lookup.reason


async def test_the_error_budget_learns_from_an_id():
    spent = {}
    for form in ("lookup", "id", "stranger"):
        backend = MemoryBackend()
        engine = SemanticCache(backend, similarity=0.9, max_error=0.05, seed=1)
        await engine.store(request := Request("default", None, ASKED), "a")
        policy = await engine.online_policy()
        before = policy.summary()["wrong"]
        place = Place(request.key, (await backend.get(request.key)).created_at)
        given = new_id(True, place)
        assert await report_wrong(given, backend=backend) is True
        spent[form] = policy.summary()["wrong"] - before
        assert spent[form] > 0
        exact = new_id(False, place)
        await engine.store(request, "a")
        before = policy.summary()["wrong"]
        await report_wrong(exact, backend=backend)
        assert policy.summary()["wrong"] == before, "an exact hit says nothing about near ones"


async def test_the_engine_of_a_call_may_be_gone(tmp_path):
    path = tmp_path / "cache.db"
    backend = SQLiteBackend(path)
    _, lookup = await asking(SemanticCache(backend)).with_lookup("a")
    gc.collect()
    assert await report_wrong(lookup, backend=backend) is True
    assert await report_wrong(lookup, backend=f"sqlite:///{path}") is False
    await backend.close()


async def test_no_report_reaches_another_entry_or_tenant(backend):
    engine = SemanticCache(backend)

    @engine.cache()
    async def ask(prompt: str, tenant: str) -> str:
        return f"{tenant}: {prompt}"

    found = {(p, t): (await ask.with_lookup(p, t))[1] for p in "abc" for t in ("x", "y")}
    await backend.set("beside", CacheEntry("a", "of somebody"))
    left = {lookup.key for lookup in found.values()} | {"beside"}
    for lookup in found.values():
        assert await report_wrong(lookup.id) is True
        left -= {lookup.key}
        assert {key for key, _ in await backend.iterate()} == left
    await engine.close()


OTHER = """
import asyncio, json, sys
from semantic_llm_cache import SemanticCache, get_stats, report_right, report_wrong
from semantic_llm_cache.management.feedback import report

async def main():
    engine = SemanticCache("sqlite:///cache.db", namespace="shared")
    given = json.loads(sys.argv[1])
    done = [(await report(one, right=False)).outcome for one in given["wrong"]]
    done += [(await report(one, right=True, backend="sqlite:///cache.db")).outcome for one in given["right"]]
    await engine.close()
    print(json.dumps(done))

asyncio.run(main())
"""


async def test_another_process_acts_on_ids(tmp_path, script):
    backend = SQLiteBackend(tmp_path / "cache.db")
    engine = SemanticCache(backend, namespace="shared", similarity=0.9)
    ask = asking(engine)
    _, miss = await ask.with_lookup(ASKED)
    _, near = await ask.with_lookup(AGAIN)
    _, kept = await ask.with_lookup("How do I bake bread?")
    assert (near.outcome, kept.outcome) == ("near", "miss")
    given = json.dumps({"right": [kept.id], "wrong": [near.id, miss.id]})
    code, out, err, _ = await asyncio.to_thread(script, OTHER, given)
    assert code == 0, err
    assert json.loads(out) == ["evicted", "gone", "counted"]
    assert [key for key, _ in await backend.iterate()] == [kept.key]
    counted = (await backend.get_counters())["shared"]
    assert (counted["reported_wrong"], counted["reported_right"]) == (1, 1)
    await engine.close()


SENDER = """
import asyncio, pickle, sys
from semantic_llm_cache import SemanticCache

async def main():
    engine = SemanticCache("sqlite:///cache.db", namespace="shared", similarity=0.9, embedder="dummy")
    engine.need_embedder()

    @engine.cache()
    async def ask(prompt: str) -> str:
        return "5"

    _, lookup = await ask.with_lookup("2 + 3?")
    await engine.close()
    sys.stdout.write(pickle.dumps(lookup).hex())

asyncio.run(main())
"""


async def test_a_pickled_lookup_of_another_process_is_acted_on(tmp_path, script):
    code, out, err, _ = await asyncio.to_thread(script, SENDER)
    assert code == 0, err
    lookup = pickle.loads(bytes.fromhex(out))
    assert (lookup.outcome, lookup.prompt, lookup.stored) == ("miss", "2 + 3?", True)
    backend = SQLiteBackend(tmp_path / "cache.db")
    assert await report_wrong(lookup, backend=backend) is True
    assert await backend.iterate() == []
    await backend.close()
