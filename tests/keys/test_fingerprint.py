"""The canonical form: equal for equal meaning, different for any other, the same in every process."""

import dataclasses
import datetime as dt
import enum
import ipaddress
import logging
import os
import pathlib
import re
import subprocess
import sys
import threading
import types
import typing
import uuid
import zoneinfo
from collections import Counter, OrderedDict, deque, namedtuple
from decimal import Decimal
from fractions import Fraction

import attrs
import numpy as np
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semantic_llm_cache import CacheKeyError, register_fingerprint
from semantic_llm_cache.keys.fingerprint import _registry, canonical, digest, fingerprint_instance
from semantic_llm_cache.keys.secret_hashes import secret_hash

Point = namedtuple("Point", "x y")


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Size(enum.IntEnum):
    RED = 1


class Access(enum.Flag):
    READ = 1
    WRITE = 2


@dataclasses.dataclass
class Options:
    model: str
    temperature: float = 0.0


@dataclasses.dataclass
class OtherOptions:
    model: str
    temperature: float = 0.0


@attrs.define
class Tuned:
    depth: int
    _hidden: str = "a"


class Tool(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    name: str
    _state: str = pydantic.PrivateAttr("new")


class Answer(pydantic.BaseModel):
    text: str


@pytest.fixture
def registry():
    before = dict(_registry)
    yield
    _registry.clear()
    _registry.update(before)


UTC = dt.timezone.utc
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
DISTINCT = [
    None, True, False, 0, 1, -1, 2**70, -(2**70), 0.5, 1.0, float("nan"), float("inf"), 1j, "", "1", "True", "None",
    "a", "ä", "a\u0308", "\ud800", b"", b"1", [], [1], [[1]], [1, 2], [12], ["1"], (), (1,), (1, 2), {}, {"a": 1},
    {"a": 1, "b": 2}, {"a": 2, "b": 1}, {1: "a"}, {True: "a"}, {"1": "a"}, set(), {1}, {1, 2}, {(1, 2)}, range(3),
    range(0, 3, 2), Decimal("1"), Decimal("1.0"), Fraction(1, 2), uuid.UUID(int=1), dt.date(2026, 1, 1),
    dt.datetime(2026, 1, 1), dt.datetime(2026, 1, 1, tzinfo=UTC), dt.datetime(2026, 1, 1, tzinfo=BERLIN),
    dt.datetime(2026, 10, 25, 2, tzinfo=BERLIN), dt.datetime(2026, 10, 25, 2, fold=1, tzinfo=BERLIN),
    dt.time(12), dt.timedelta(days=1), dt.timedelta(seconds=1), UTC, BERLIN, Colour.RED, Colour.BLUE, Size.RED,
    Access.READ, Access.READ | Access.WRITE, Options("a"), Options("b"), OtherOptions("a"), Options("a", 1.0),
    Options("a", 1), Tuned(1), Tuned(1, "b"), Tool(name="a"), Tool(name="a", size=1), Point(1, 2), Point(2, 1),
    pathlib.PurePosixPath("a"), pathlib.PurePosixPath("a/b"), np.zeros(2), np.zeros(2, "f4"), np.zeros((2, 1)),
    np.float64(1), Colour, Answer, int, list[int], list[str], int | None, typing.Literal["a"], typing.Literal["b"],
    types.SimpleNamespace(a=1), types.SimpleNamespace(a=2), deque([1]), deque([2]), re.compile("a"),
    re.compile("a", re.I), ipaddress.ip_address("127.0.0.1"), ipaddress.ip_network("10.0.0.0/8"), ...,
    OrderedDict(a=1), Counter(a=1),
]  # fmt: skip


def test_different_values_have_different_forms():
    seen = {}
    for value in DISTINCT:
        form = canonical(value)
        assert form not in seen, f"{value!r} and {seen[form]!r} have one form"
        seen[form] = value


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": [1]}, {"b": [1], "a": 1}),
        ({3, 1, 2}, {2, 3, 1}),
        (0.0, -0.0),
        (float("nan"), -float("nan")),
        ({1, 2}, frozenset({2, 1})),
        (b"a", bytearray(b"a")),
        (Tool(name="a", x=1), Tool.model_validate({"x": 1, "name": "a"})),
        (np.zeros((2, 3)).T, np.zeros((3, 2))),
    ],
)
def test_equal_meaning_has_one_form(one, other):
    assert canonical(one) == canonical(other)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False).filter(lambda x: x != 0 or str(x) == "0.0")
    | st.text(alphabet=st.characters())
    | st.binary()
    | st.decimals(allow_nan=False)
    | st.dates()
    | st.timedeltas()
    | st.uuids(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=4)
    ),
    max_leaves=8,
)


def spelled(value):
    """An independent spelling of a value: types and contents, dicts in any order."""
    if isinstance(value, dict):
        return ("dict", frozenset((spelled(k), spelled(v)) for k, v in value.items()))
    if isinstance(value, (list, tuple)):
        return (type(value).__name__, tuple(map(spelled, value)))
    return (type(value).__name__, str(value) if isinstance(value, Decimal) else value)


@given(values, values)
def test_forms_are_equal_exactly_when_values_are(one, other):
    assert (canonical(one) == canonical(other)) == (spelled(one) == spelled(other))
    assert canonical(one) == canonical(one)


@given(st.lists(values, max_size=3), st.lists(values, max_size=3))
def test_no_two_sequences_run_together(one, other):
    assert (digest(*one) == digest(*other)) == (spelled(one) == spelled(other))


def test_form_is_the_same_under_another_hash_seed():
    code = (
        "from semantic_llm_cache.keys.fingerprint import digest\n"
        "print(digest({'b': {'x', 'y', 'z'}, 'a': frozenset('qrs')}, 1.5, b'z'))"
    )
    outs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outs) == 1


class Plain:
    pass


@pytest.mark.parametrize(
    "value", [Plain(), threading.Lock(), logging.getLogger("x"), object(), (i for i in "a"), iter([1])]
)
def test_a_value_without_a_form_is_refused_by_name_with_the_ways_out(value):
    with pytest.raises(CacheKeyError, match=r"options\['deep'\]\[1\]") as caught:
        canonical({"deep": [1, value]}, "options")
    message = str(caught.value)
    assert type(value).__qualname__ in message
    for way_out in ("ignore=", "key_func=", "register_fingerprint"):
        assert way_out in message


def test_a_value_that_holds_itself_is_refused():
    circle = []
    circle.append(circle)
    with pytest.raises(CacheKeyError, match="holds itself"):
        canonical(circle)


def test_the_name_of_a_dataclass_field_is_in_the_error():
    with pytest.raises(CacheKeyError, match=r"options\.model is a"):
        canonical(Options(model=Plain()), "options")


# ------------------------------------------------------------------------------- the registry


class Tenant:
    def __init__(self, name):
        self.name = name
        self.lock = threading.Lock()


class SpecialTenant(Tenant):
    pass


def test_registered_function_says_what_counts_also_for_subclasses(registry):
    register_fingerprint(Tenant, lambda tenant: tenant.name)
    assert canonical(Tenant("a")) == canonical(Tenant("a"))
    assert canonical(Tenant("a")) != canonical(Tenant("b"))
    assert canonical(SpecialTenant("a")) != canonical(SpecialTenant("b"))
    assert fingerprint_instance(Tenant("a")) != fingerprint_instance(Tenant("b"))
    register_fingerprint(SpecialTenant, None)
    assert canonical(SpecialTenant("a")) == canonical(SpecialTenant("b"))


@pytest.mark.parametrize(("kind", "function"), [("Tenant", str), (Tenant, "name"), (threading.Lock(), None)])
def test_registering_nonsense_is_a_type_error(kind, function):
    with pytest.raises(TypeError, match="register_fingerprint"):
        register_fingerprint(kind, function)


class Scoped:
    def __init__(self, name):
        self.name, self.client = name, object()

    def __cache_scope__(self):
        return {"name": self.name}


def test_cache_scope_says_what_counts_of_an_argument():
    assert canonical(Scoped("a")) == canonical(Scoped("a"))
    assert canonical(Scoped("a")) != canonical(Scoped("b"))


# ---------------------------------------------------------------------------------- secrets


def test_secrets_count_and_are_not_seen(monkeypatch):
    secret = pydantic.SecretStr("hunter2")
    form = canonical({"key": secret})
    assert b"hunter2" not in form
    assert form != canonical({"key": pydantic.SecretStr("hunter3")})
    assert form == canonical({"key": pydantic.SecretStr("hunter2")})
    monkeypatch.setenv("SEMANTIC_LLM_CACHE_SECRET", "ours")
    assert form != canonical({"key": secret})


def test_secret_hash_takes_text_and_bytes():
    assert secret_hash("a") == secret_hash(b"a") != secret_hash("b")
    assert len(secret_hash("\ud800")) == 32


def test_a_response_model_counts_with_its_fields():
    def make(kind):
        return pydantic.create_model("Reply", __module__="m", value=(kind, ...))

    assert canonical(make(int)) == canonical(make(int))
    assert canonical(make(int)) != canonical(make(str))
    assert canonical(list[make(int)]) != canonical(list[make(str)])


def test_sdk_sentinels_have_a_form():
    import anthropic
    import openai

    forms = {canonical(value) for value in (openai.NOT_GIVEN, openai.omit, anthropic.NOT_GIVEN)}
    assert len(forms) == 3
    assert canonical(openai.omit) == canonical(openai.Omit())


def test_urls_have_a_form():
    import httpx
    import httpx2

    http = pydantic.TypeAdapter(pydantic.HttpUrl).validate_python
    for make in (httpx.URL, httpx2.URL, http):
        assert canonical(make("http://a/b")) == canonical(make("http://a/b"))
        assert canonical(make("http://a/b")) != canonical(make("http://a/c"))
