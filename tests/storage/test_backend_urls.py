import os
import re
from importlib import import_module
from inspect import signature

import pytest

from semantic_llm_cache.backends import MemoryBackend, SQLiteBackend, backend_from_url, resolve_backend
from semantic_llm_cache.storage.registry import SCHEMES, shared_backend


def test_memory():
    backend = backend_from_url("memory://")
    assert isinstance(backend, MemoryBackend)
    assert (backend.max_size, backend.max_bytes) == (None, None)
    backend = backend_from_url("memory://?max_size=10&max_bytes=5000")
    assert (backend.max_size, backend.max_bytes) == (10, 5000)
    assert backend_from_url("MEMORY://").url == "memory://"


def test_sqlite(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    backend = backend_from_url("sqlite:///sub%20folder/cache.db?max_size=7&busy_timeout=0.5")
    assert isinstance(backend, SQLiteBackend)
    assert backend.db_path == "sub folder/cache.db"
    assert backend._path == os.path.join(os.getcwd(), "sub folder/cache.db")
    assert backend.max_size == 7
    absolute = backend_from_url(f"sqlite:///{tmp_path}/cache.db")
    assert absolute.db_path == f"{tmp_path}/cache.db"
    assert backend_from_url(absolute.url).db_path == absolute.db_path


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("cache.db", "not a backend URL"),
        ("mysql://h/d", "mysql:// is not known: use one of memory://"),
        ("redis://user:secret@h:6379/zero", "number of the database"),
        ("postgresql://user:secret@h/d?pool=3", "unknown option 'pool'"),
        ("memory://host", "no host"),
        ("memory://?size=3", "unknown option 'size'"),
        ("memory://?max_size=many", "max_size must be a number"),
        ("memory://?max_size=0", "at least 1"),
        ("sqlite://cache.db", "three slashes"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "memory://"),
        ("sqlite:///a.db?ttl=3", "unknown option. Known options: busy_timeout"),
        ("sqlite:///a.db#x", "%23"),
    ],
)
def test_what_is_wrong_is_said(url, says):
    with pytest.raises(ValueError) as caught:
        backend_from_url(url)
    assert says in str(caught.value)
    assert "secret" not in str(caught.value)


def test_resolve():
    backend = MemoryBackend()
    assert resolve_backend(backend) is backend
    assert isinstance(resolve_backend(None), MemoryBackend)
    assert resolve_backend("memory://?max_size=3").max_size == 3
    with pytest.raises(TypeError, match="StorageBackend"):
        resolve_backend(42)
    with pytest.raises(TypeError, match="text"):
        backend_from_url(42)


def documented():
    """Return the rows of the table in the docstring: the URL, the other schemes, the options."""
    rows = re.split(r"\n    (?=``)", (backend_from_url.__doc__ or "").split("=\n")[1].split("\n    ===")[0])
    for row in rows:
        url, *names = re.findall(r"``([^`]+)``", row)
        yield url, [name for name in names if "://" in name], [name for name in names if "://" not in name]


def test_the_table_names_every_scheme_and_known_options():
    urls = [(url, also) for url, also, _ in documented()]
    assert {name.split("://")[0] for url, also in urls for name in [url, *also]} == set(SCHEMES)
    values = {"eviction": "lru", "prefix": "p", "schema": "s", "search": "auto"}
    for url, _, options in documented():
        for option in options:
            kind = backend_from_url(f"{url}?{option}={values.get(option, 2)}")
            place = SCHEMES[url.split("://")[0]]
            assert type(kind) is getattr(import_module(place.split(":")[0]), place.split(":")[1])


@pytest.mark.parametrize("place", sorted(set(SCHEMES.values())))
def test_the_registry_and_the_classes_know_the_same_schemes_and_options(place):
    module, _, name = place.partition(":")
    kind = getattr(import_module(module), name)
    assert {scheme for scheme, where in SCHEMES.items() if where == place} == set(kind.url_schemes)
    assert set(kind.url_options) < set(signature(kind).parameters)


def test_caches_share_the_backend_of_a_url_and_others_get_their_own(tmp_path):
    url = f"sqlite:///{tmp_path}/cache.db"
    assert shared_backend(url) is shared_backend(url)
    assert resolve_backend(url) is not resolve_backend(url)
    assert shared_backend("memory://") is not shared_backend("memory://")
