"""Addresses, names of keys, and the stored form of entries: what needs no server."""

import dataclasses
from urllib.parse import quote

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semantic_llm_cache.backends import RedisBackend, backend_from_url
from semantic_llm_cache.backends.redis.entries import Damage, Names, decode, encode, slot_of
from semantic_llm_cache.backends.redis.url import parse
from semantic_llm_cache.config import CacheEntry


@pytest.mark.parametrize(
    ("url", "shown", "expected"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0", {"connection": {"db": 0}}),
        ("redis://h", "redis://h:6379/0", {"hosts": (("h", 6379),)}),
        ("redis://h/3", "redis://h:6379/3", {"connection": {"db": 3}}),
        ("redis://h?db=3", "redis://h:6379/3", {"connection": {"db": 3}}),
        ("redis://:p%40@h", "redis://h:6379/0", {"connection": {"db": 0, "password": "p@"}}),
        ("redis://[::1]:7000", "redis://[::1]:7000/0", {"hosts": (("::1", 7000),)}),
        ("REDISS://u:p@h?ssl_check_hostname=no", "rediss://h:6379/0",
         {"connection": {"db": 0, "username": "u", "password": "p", "ssl": True, "ssl_check_hostname": False}}),
        ("unix:///run/my%20redis.sock?db=2", "unix:///run/my%20redis.sock",
         {"path": "/run/my redis.sock", "connection": {"db": 2}}),
        ("redis+cluster://a:1,b:2", "redis+cluster://a:1,b:2", {"kind": "cluster", "hosts": (("a", 1), ("b", 2))}),
        ("rediss+sentinel://u:p@a,b:2/m/1?sentinel_password=s", "rediss+sentinel://a:26379,b:2/m/1",
         {"kind": "sentinel", "master": "m", "sentinel": {"password": "s", "ssl": True}}),
        ("redis://h?prefix=x:&search=plain&front_size=0&timeout=.5", "redis://h:6379/0",
         {"arguments": {"prefix": "x:", "search": "plain", "front_size": 0, "timeout": 0.5}}),
    ],
)  # fmt: skip
def test_addresses(url, shown, expected):
    address = parse(url)
    assert address.shown == shown
    for name, value in expected.items():
        assert getattr(address, name) == value, name
    backend = backend_from_url(url)
    assert isinstance(backend, RedisBackend)
    assert backend.url == shown


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis://u:hush@h:port", "not a host and a port"),
        ("redis://u:hush@h?color=red", "unknown option. Known options: client_name, connect_timeout"),
        ("redis://u:hush@h/0?timeout=long", "timeout must be a number"),
        ("redis://u:hush@h/0?ssl_check_hostname=perhaps", "yes or no"),
        ("redis://u:hush@a,b", "redis+cluster://"),
        ("redis://u:hush@h/0/1", "number of the database"),
        ("redis://h/0?db=1", "once"),
        ("redis://u:hu#sh@h", "%23"),
        ("redis+cluster://u:hush@h/1", "only database 0"),
        ("redis+sentinel://u:hush@h", "NAME"),
        ("unix://u:hush@h/x", "three slashes"),
        ("redis://u:hush@h?search=best", "search= must be one of auto"),
        ("redis://u:hush@h?front_seconds=-1", "front_seconds=-1"),
        ("mongodb://h", "begins with redis://"),
    ],
)
def test_what_is_wrong_with_an_address_is_said(url, says):
    with pytest.raises(ValueError) as caught:
        RedisBackend(url)
    assert says in str(caught.value)
    assert "hu" not in str(caught.value)


def test_arguments_win_over_options():
    backend = RedisBackend("redis://h?prefix=a:&front_size=5", prefix="b:")
    assert (backend.prefix, backend.front.size) == ("b:", 5)


@given(st.text(min_size=1), st.text(min_size=1))
def test_users_and_passwords_come_through_and_are_not_shown(user, password):
    try:
        login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    except UnicodeEncodeError:  # a lone surrogate has no percent form
        return
    address = parse(f"redis://{login}@some.host:1234/5")
    assert (address.connection["username"], address.connection["password"]) == (user, password)
    assert address.shown == "redis://some.host:1234/5"


@pytest.mark.parametrize(("tag", "slot"), [(b"123456789", 12739), (b"foo", 12182), (b"", 0)])
def test_slots_are_those_of_redis(tag, slot):
    """The first is the check value in Redis's cluster specification, the second in its documentation."""
    assert slot_of(tag) == slot


@pytest.mark.parametrize("shards", [1, 2, 3, 6, 100, 256])
def test_shards_lie_evenly_over_the_slots(shards):
    names = Names("p:", "v", shards)
    assert [slot_of(tag) * shards // 16384 for tag in names.tags] == list(range(shards))


@given(st.binary(max_size=40), st.sampled_from(["p:", "a*[b]?\\:", "{x}"]), st.integers(1, 9))
def test_names_lead_back_to_keys(key, prefix, shards):
    import fnmatch

    names = Names(prefix, "v", shards)
    name = names.entry(key)
    assert names.key(name) == key
    assert names.key(b"x" + name) is None
    assert names.key(names.other("v", 0)) is None
    assert Names(prefix, "s", shards).key(name) is None
    assert names.pattern().replace(b"\\", b"").endswith(b"1v:e:{*")
    assert not fnmatch.fnmatchcase("other:" + name.decode("latin-1"), "p:1v:e:{*")


finite = st.floats(allow_nan=False, allow_infinity=False)
entries = st.builds(
    CacheEntry,
    prompt=st.text(st.characters(codec="utf-8")),
    response=st.recursive(
        st.none() | st.booleans() | st.integers() | finite | st.text(st.characters(codec="utf-8")) | st.binary(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
        max_leaves=6,
    ),
    created_at=finite,
    ttl=st.none() | st.floats(1e-3, 1e12),
    namespace=st.text(st.characters(codec="utf-8"), min_size=1),
    input_tokens=st.integers(0, 2**40),
    scope=st.text(st.characters(codec="utf-8")),
    tags=st.lists(st.text(st.characters(codec="utf-8"))).map(tuple),
    cost_usd=finite,
)


@settings(max_examples=60)
@given(entries, st.integers(0, 2**32))
def test_entries_come_back_and_damage_is_noticed(entry, seed):
    rng = np.random.default_rng(seed)
    vector = rng.standard_normal(5).astype(np.float32) + 1e-3
    entry = dataclasses.replace(entry, embedding=vector)
    row = encode("k", entry, 0.0, injected=False)
    found = decode(row.data, row.vector, b"%d" % row.hits, row.accessed)
    assert found == entry
    np.testing.assert_allclose(found.embedding, vector / np.linalg.norm(vector), atol=1e-6)
    damaged = bytearray(row.data + row.vector)
    damaged[int(rng.integers(4, len(damaged)))] ^= 1 << int(rng.integers(8))
    with pytest.raises(Damage):
        decode(bytes(damaged[: len(row.data)]), bytes(damaged[len(row.data) :]), b"0", b"")
    with pytest.raises(Damage):
        decode(row.data[: int(rng.integers(0, len(row.data)))], row.vector, b"0", b"")


@given(st.floats(0, 4e9), st.floats(1e-3, 1e9), st.floats(-1e9, 1e9))
def test_what_is_left_of_the_time(created, ttl, offset):
    entry = CacheEntry("p", "r", created_at=created, ttl=ttl)
    now = created + offset
    row = encode("k", entry, now, injected=False)
    left = created + ttl - now
    if left <= 0:
        assert row.milliseconds < 0
    else:
        assert row.milliseconds == -1 or abs(row.milliseconds / 1000 - left) < 0.01
    assert int(row.expires) >= (created + ttl) * 1000
    assert encode("k", dataclasses.replace(entry, ttl=None), now, injected=False).milliseconds == 0
