"""The id of a call: what it says, and what it can never say. A `Lookup` as a value: copies and pickles."""

import copy
import math
import pickle
import re
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semantic_llm_cache import Lookup, Request, SemanticCache, cache, last_lookup
from semantic_llm_cache.calls.identity import CallId, Place, new_id, read_id

SAFE = re.compile(r"[A-Za-z0-9_-]+")
times = st.floats(allow_nan=True, allow_infinity=True) | st.floats(0, 4e9)
hashed = st.tuples(st.integers(1, 300), st.binary(min_size=20, max_size=20)).map(lambda p: f"{p[0]}:{p[1].hex()}")
keys = st.text(max_size=80) | st.text(st.characters(categories=("Cs", "L")), max_size=5) | hashed
places = st.builds(Place, keys, times)


def same(place, other):
    return place.key == other.key and place.holds(other.stored_at)


@given(st.booleans(), places)
@settings(max_examples=150, deadline=None)
def test_an_id_leads_to_its_entry_and_says_if_it_was_near(near, place):
    text = new_id(near, place)
    assert SAFE.fullmatch(text)
    found = read_id(text)
    assert found.near is near
    assert same(found.place, place)
    assert new_id(near, place) != text


@given(places, places)
@settings(max_examples=100, deadline=None)
def test_two_entries_never_have_one_id(one, other):
    found = read_id(new_id(False, one)).place
    assert same(found, other) is same(one, other)


@given(places, st.integers(0, 10**6), st.sampled_from("ABCxyz019-_=+/ \n"))
@settings(max_examples=200, deadline=None)
def test_a_damaged_id_is_refused(place, where, character):
    text = new_id(True, place)
    at = 3 + where % (len(text) - 3)
    changed = text[:at] + character + text[at + 1 :]
    for damaged in ({changed} - {text}) | {text[:-1], text + "A", text + "=", text + "\n", text[3:]}:
        try:
            found = read_id(damaged)
        except ValueError:
            continue
        # One in 65,536 passes the checksum. Even then it must not lead from one hashed key to another text form.
        assert isinstance(found.place, Place)
        assert not same(found.place, place)


@pytest.mark.parametrize("text", ["", "lk_", "lk_A", "lk_AAAA", "lk_é", "a key", "lk_" + "A" * 5000, "lk_" + "=" * 8])
def test_what_is_no_id_is_refused(text):
    with pytest.raises(ValueError, match=r"is not the id of a call.*Lookup\.id") as error:
        read_id(text)
    assert len(str(error.value)) < 300


def test_ids_of_real_keys_are_short_and_those_without_an_entry_shorter():
    key = Request("n", {"tenant": "secret-tenant"}, "a private prompt").key
    text = new_id(False, Place(key, 1234567.875))
    assert len(text) == 55
    assert read_id(text) == CallId(False, Place(key, 1234567.875))
    assert len(new_id(False, None)) == 17
    assert read_id(new_id(True, None)) == CallId(True, None)
    assert not Place(key, 1.0).holds(math.nextafter(1.0, 2))
    assert Place(key, 1).holds(1.0), "clocks may give whole numbers"
    assert struct.calcsize(">d") == 8


def test_a_lookup_without_an_entry_has_an_id_too():
    one, other = Lookup("miss"), Lookup("miss")
    assert one.id == one.id != other.id
    assert one == other, "the id is no part of what it says"
    assert one.id not in repr(one)


def test_threads_agree_on_an_id():
    for _ in range(50):
        lookup, barrier = Lookup("miss"), threading.Barrier(4)

        def read(_, lookup=lookup, barrier=barrier):
            barrier.wait()
            return lookup.id

        with ThreadPoolExecutor(4) as pool:
            assert len(set(pool.map(read, range(4)))) == 1


async def lookups():
    """Return a miss, a quick hit, a near hit, and one with a response."""
    engine = SemanticCache("memory://", similarity=0.9, max_error=0.1, clock=lambda: 1000.0)

    @engine.cache()
    async def ask(prompt: str) -> str:
        return prompt

    found = [(await ask.with_lookup(text))[1] for text in ("What is Python?", "What is Python?", "What's Python?")]
    request = Request("n", None, "q")
    await engine.store(request, ["answer"])
    return engine, [*found, await engine.lookup(request)]


async def test_lookups_copy_and_pickle_with_their_id():
    _engine, found = await lookups()
    for lookup in found:
        first = replace(lookup)  # before there is an id
        for copied in (
            first,
            copy.copy(lookup),
            copy.deepcopy(lookup),
            pickle.loads(pickle.dumps(lookup)),
            pickle.loads(pickle.dumps(lookup, protocol=2)),
            pickle.loads(pickle.dumps(copy.deepcopy(lookup))),
        ):
            assert copied is not lookup
            assert copied == lookup
            assert copied.id == lookup.id
            assert copied.response == lookup.response
    inner = copy.deepcopy(found[-1]).response
    assert inner == ["answer"]
    assert inner is not found[-1].response


async def test_what_cannot_be_pickled_is_left_out():
    lookup = Lookup("exact", response=threading.Lock(), handle=(lambda: None, threading.Lock()))
    made = pickle.loads(pickle.dumps(lookup))
    assert (made.outcome, made.response, made.handle, made.id) == ("exact", None, None, lookup.id)
    assert copy.copy(lookup).handle is lookup.handle


def test_a_pickle_of_an_older_form_is_read():
    state = Lookup("near", similarity=0.5).__getstate__()
    del state["saved_usd"], state["_id"]
    made = Lookup.__new__(Lookup)
    made.__setstate__({**state, "a later field": 1})
    assert (made.outcome, made.similarity, made.saved_usd) == ("near", 0.5, 0.0)
    assert made.id


def test_the_id_holds_no_prompt_and_no_secret():
    @cache(backend="memory://", scope={"api_key": "sk-very-secret"})
    def ask(prompt: str) -> str:
        return prompt

    ask("a very private prompt")
    ask("a very private prompt")
    found = read_id(last_lookup().id)
    assert found.place.key == last_lookup().key
    assert "private" not in repr(found)
    assert "secret" not in repr(found)
