"""Requests read lately: found again by their bytes, and by nothing less."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from semantic_llm_cache import CacheContext
from semantic_llm_cache.wire import WireCache
from semantic_llm_cache.wire.recent import Recent

PARTS = st.lists(st.text(max_size=6) | st.sampled_from(["\0", "1:", "a\0b"]), max_size=4)
URL = "http://provider/v1/chat/completions"


def body(text="What is the capital of France?", **more):
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": text}], **more}).encode()


@given(PARTS, PARTS, st.binary(max_size=12), st.binary(max_size=12))
def test_two_requests_share_a_place_only_when_they_are_equal(parts, others, data, other):
    recent = Recent()
    equal = (parts, data) == (others, other)
    assert (recent.place(parts, data) == recent.place(others, other)) == equal


def test_the_least_used_go_first_and_long_ones_are_not_held():
    recent = Recent(most=2)
    places = [recent.place([str(n)], b"") for n in range(6)]
    for n, place in enumerate(places):
        recent.put(place, n)
        assert recent.get(places[0]) == 0  # used all the time, so it stays
    assert [recent.get(place) for place in places[1:3]] == [None, None]
    assert recent.get(places[5]) == 5
    assert recent.place([], b"x" * 10_000) is None
    assert recent.get(None) is None
    recent.put(None, 7)


def keys(door, *requests):
    """Return the key of each (headers, body, url), read for the first time and again."""
    found = []
    for headers, data, *url in requests:
        first, second = (door.plan("POST", *(url or [URL]), headers, data) for _ in range(2))
        assert (first.request, first.asked, first.settings) == (second.request, second.asked, second.settings)
        assert first.settings is not second.settings
        found.append(first.request.key)
    return found


def test_all_that_counts_counts_for_what_comes_again():
    door = WireCache(backend="memory://", neutral_headers=("x-mine",))
    plain = [("Authorization", "Bearer a")]
    requests = [
        (plain, body()),
        ([("Authorization", "Bearer b")], body()),
        ([*plain, ("x-tenant", "7")], body()),
        (plain, body(temperature=0.5)),
        (plain, body("Which is the capital of France?")),
        (plain, body(), URL.replace("provider", "other")),
        (plain, body(), f"{URL}?version=2"),
    ]
    assert len(set(keys(door, *requests))) == len(requests)
    same = [
        ([*plain, ("User-Agent", "AsyncOpenAI/Python 3.57.0"), ("x-mine", "y")], body()),
        ([*plain, ("Host", "provider"), ("content-type", "application/json")], body()),
        (plain, body() + b" "),
        (plain, body(stream=True)),
    ]
    assert set(keys(door, *same)) == set(keys(door, requests[0]))
    assert door.plan("POST", URL, plain, body(stream=True)).asked.stream


def test_what_may_change_between_two_equal_requests_is_looked_at(monkeypatch):
    tenant = ["a"]
    door = WireCache(backend="memory://", scope=lambda: tenant[0])
    first = keys(door, ([], body()))
    tenant[0] = "b"
    assert keys(door, ([], body())) != first
    door = WireCache(backend="memory://")
    secret = [("Authorization", "Bearer a")]
    first = keys(door, (secret, body()))
    with CacheContext(namespace="inside"):
        assert keys(door, (secret, body())) != first
    with CacheContext(ttl=7):
        assert door.plan("POST", URL, secret, body()).settings.ttl == 7
    assert door.plan("POST", URL, [*secret, ("x-cache-control", "no-cache")], body()).control.no_cache
    assert not door.plan("POST", URL, secret, body()).control.no_cache
    monkeypatch.setenv("SEMANTIC_LLM_CACHE_SECRET", "other")
    assert keys(door, (secret, body())) != first


@given(st.binary(max_size=40), st.lists(st.tuples(st.sampled_from(["x-a", "x-b", "accept"]), st.text(max_size=5))))
@settings(deadline=None)
def test_no_credential_is_held(data, headers):
    door = WireCache(backend="memory://")
    door.plan("POST", URL, [*headers, ("authorization", "Bearer s3cret")], data)
    door.plan("POST", URL, [*headers, ("authorization", "Bearer s3cret")], body("a very long tale"))
    held = repr([(place, asked) for place, (asked, _, _) in door.recent._young.items()])
    assert "s3cret" not in held
