"""Keys as they are: a change here orphans every stored entry, so it needs a new `KEY_VERSION` and docs/keys.md."""

import dataclasses
import datetime as dt
import enum
import functools
import pathlib
import re
import sys
import types
import typing
import uuid
import zoneinfo
from collections import OrderedDict, defaultdict, deque
from decimal import Decimal
from fractions import Fraction

import pytest

from semantic_llm_cache import CacheContext, CachedLLM, Request, cache, last_lookup
from semantic_llm_cache.keys import known_types
from semantic_llm_cache.keys.fingerprint import KEY_VERSION, canonical, fingerprint_instance
from semantic_llm_cache.keys.secret_hashes import secret_hash


class Tone(enum.Enum):
    WARM = "warm"


@dataclasses.dataclass
class Options:
    model: str
    temperature: float = 0.5


class Words(str):
    def __init__(self, text):
        self.size = len(text)


class Pair(typing.NamedTuple):
    a: int
    b: int


class Answers:
    def __cache_scope__(self):
        return "a"

    def __call__(self, prompt, **options):
        return "a"


# As if they had been written in a module "app".
app = sys.modules.setdefault("app", types.ModuleType("app"))
for kind in (Tone, Options, Words, Pair, Answers):
    kind.__module__ = "app"
    setattr(app, kind.__name__, kind)

FORMS = [
    (None, b"n"),
    (True, b"T"),
    (False, b"F"),
    (7, b"i7;"),
    (-255, b"i-ff;"),
    (1.5, b"f3:1.5"),
    (-0.0, b"f3:0.0"),
    (float("nan"), b"f3:nan"),
    ("é", b"s2:\xc3\xa9"),
    ("\ud800", b"s3:\xed\xa0\x80"),
    (b"ab", b"b2:ab"),
    ([1, "a"], b"l2:i1;s1:a"),
    ((), b"t0:"),
    ({2, 1}, b"S2:i1;i2;"),
    ({"b": 1, "a": None}, b"d2:s1:ans1:bi1;"),
    (1j, b"c2:1j"),
    (Decimal("1.0"), b"D3:1.0"),
    (uuid.UUID(int=1), b"u32:00000000000000000000000000000001"),
    (range(3), b"g11:range(0, 3)"),
    (dt.date(2026, 1, 2), b"a10:2026-01-02"),
    (dt.datetime(2026, 1, 2, 3, 4, tzinfo=dt.timezone.utc), b"m32:2026-01-02T03:04:00+00:00||UTC|0"),
    (dt.time(1, 2), b"h11:01:02:00||0"),
    (dt.timedelta(days=1, seconds=2), b"e1,2,0;"),
    (Tone.WARM, b"o8:app.Tones4:WARMd1:s7:_value_s4:warm"),
    (Decimal, b"y15:decimal.Decimal"),
    (Options("m"), b"o11:app.Optionsd2:s5:models1:ms11:temperaturef3:0.5"),
    (pathlib.PurePosixPath("a/b"), b"pposix3:a/b"),
    (dt.timezone.utc, b"ze0,0,0;s3:UTC"),
    (..., b"o17:builtins.ellipsis"),
    (pathlib.PureWindowsPath("a/b"), b"pwindows3:a\\b"),
    (zoneinfo.ZoneInfo("Europe/Berlin"), b"Z13:Europe/Berlin"),
    (Fraction(1, 2), b"o18:fractions.Fractionx3:1/2"),
    (Words("a"), b"o9:app.Wordsd1:s4:sizei1;s1:a"),
    (Pair(1, 2), b"o8:app.Paird1:s7:_fieldst2:s1:as1:bt2:i1;i2;"),
    (OrderedDict(b=1, a=2), b"O2:s1:bi1;s1:ai2;"),
    (defaultdict(list, a=1), b"o23:collections.defaultdictd1:s15:default_factoryy13:builtins.listd1:s1:ai1;"),
    (deque([1], 2), b"qi2;l1:i1;"),
    (re.compile("a"), b"o10:re.Patterns1:ai20;"),
    (len, b"B12:builtins.len"),
    (str.upper, b"B18:builtins.str.upper"),
    (functools, b"I9:functools"),
    (list[int], b"G0:t2:y13:builtins.listl1:y12:builtins.int"),
]


@pytest.mark.parametrize(("value", "form"), FORMS, ids=lambda value: repr(value)[:40])
def test_forms(value, form):
    assert canonical(value) == form


def test_an_instance():
    assert fingerprint_instance(Options("m")) == canonical(Options("m"))


def test_secret_hashes():
    assert secret_hash("sk-1") == "b875ff9a9e668b5687c76b479ded3991"


def make(name, **options):
    """A cached function of a module "app"."""

    def ask(prompt, model="m", *, temperature=0.5, **rest):
        return "answer"

    ask.__module__, ask.__qualname__ = "app", name
    return cache(**options)(ask)


def key_of(function, *args, **kwargs):
    function(*args, **kwargs)
    return last_lookup().key


def in_context():
    with CacheContext(namespace="inside"):
        return key_of(make("ask"), "What is Python?")


def chat():
    CachedLLM("openai", "gpt-4").chat("What is Python?", llm_func=Answers(), temperature=0.5)
    return last_lookup().key


MESSAGES = [
    {"role": "system", "content": "Be short."},
    {"role": "user", "content": [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": "u"}]},
]


def conversation():
    def ask(messages):
        return "answer"

    ask.__module__, ask.__qualname__ = "app", "ask"
    return key_of(cache(ask), MESSAGES)


CALLS = {
    'Request("faq", {"model": "m"}, "What is Python?")': lambda: Request("faq", {"model": "m"}, "What is Python?").key,
    'Request(key="k")': lambda: Request(key="k").key,
    'ask("What is Python?")': lambda: key_of(make("ask"), "What is Python?"),
    'ask("What is Python?", "m", seed=1)': lambda: key_of(make("ask"), "What is Python?", "m", seed=1),
    'ask(...) in namespace "faq"': lambda: key_of(make("ask", namespace="faq"), "What is Python?"),
    'ask(...) with version=2, scope={"tenant": "a"}': lambda: key_of(
        make("ask", version=2, scope={"tenant": "a"}), "What is Python?"
    ),
    'ask(...) with ignore="temperature"': lambda: key_of(make("ask", ignore="temperature"), "What is Python?"),
    'ask(...) in CacheContext(namespace="inside")': in_context,
    "ask(messages) with a picture": conversation,
    'CachedLLM("openai", "gpt-4").chat(..., temperature=0.5)': chat,
}
KEYS = dict(
    zip(
        CALLS,
        [
            "2:681c464ecd71576825deb448c193f0bd79803043",
            "2:5142ce8eee6e876b9c1096c620be85d543a95661",
            "2:ea8a22d5251478c9d1dfeeaa1017d999c8e7569a",
            "2:012e6faf3ad6bd066d85fa5fcf1791e24cbabf23",
            "2:986b9f53f6995214ed00370c12f064c5b1f4a763",
            "2:434c26fcf4052217092f01b3c8436f9d468b8610",
            "2:f6c529e4f16c0c7ca66b3dc0495f4b8200e4fdab",
            "2:88dbddf07215a5717d5f6303d2f8a3155339fb6b",
            "2:b25809cee3b0955ccbb6ad95d419e057008c48e9",
            "2:1c660c1d7ebca12a765919a793e5761062775c7d",
        ],
        strict=True,
    )
)


@pytest.mark.parametrize("call", CALLS)
def test_keys(call):
    assert KEY_VERSION == 2
    assert CALLS[call]() == KEYS[call]


def test_the_documentation_shows_the_same_keys():
    text = (pathlib.Path(__file__).parents[2] / "docs" / "keys.md").read_text(encoding="utf-8")
    assert dict(re.findall(r"^\| `(.+)` \| `(2:[0-9a-f]{40})` \|$", text, re.MULTILINE)) == KEYS


def test_the_documentation_lists_every_name_that_does_not_count():
    text = (pathlib.Path(__file__).parents[2] / "docs" / "keys.md").read_text(encoding="utf-8")
    tables = (known_types.NEUTRAL_TYPES, known_types.CLIENTS, known_types.PARTS)
    for kind in (*tables[0], *tables[1], *tables[2], *known_types.AS_TEXT, *known_types.SENTINELS):
        assert f"`{'.'.join(kind)}`" in text
    for attributes in (*tables[1].values(), *tables[2].values()):
        for name, why in attributes.items():
            assert f"`{name}`" in text
            assert why in text
    assert all(why in text for why in tables[0].values())
