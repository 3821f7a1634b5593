"""Keys as they are: a change here orphans every stored entry, so it needs a new `KEY_VERSION` and docs/keys.md."""

import dataclasses
import datetime as dt
import enum
import pathlib
import re
import uuid
from decimal import Decimal

import pytest

from semantic_llm_cache import CacheContext, CachedLLM, Request, cache, last_lookup
from semantic_llm_cache.keys.fingerprint import KEY_VERSION, canonical, fingerprint_instance, secret_hash


class Tone(enum.Enum):
    WARM = "warm"


@dataclasses.dataclass
class Options:
    model: str
    temperature: float = 0.5


# As if they had been written in a module "app".
for kind in (Tone, Options):
    kind.__module__ = "app"

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
    (uuid.UUID(int=1), b"u36:00000000-0000-0000-0000-000000000001"),
    (range(3), b"g11:range(0, 3)"),
    (dt.date(2026, 1, 2), b"a10:2026-01-02"),
    (dt.datetime(2026, 1, 2, 3, 4, tzinfo=dt.timezone.utc), b"m28:2026-01-02T03:04:00+00:00||0"),
    (dt.time(1, 2), b"h11:01:02:00||0"),
    (dt.timedelta(days=1, seconds=2), b"e1,2,0;"),
    (Tone.WARM, b"E8:app.Tones4:WARM"),
    (Tone, b"y8:app.Tone"),
    (Options("m"), b"o11:app.Optionsd2:s5:models1:ms11:temperaturef3:0.5"),
    (pathlib.PurePosixPath("a/b"), b"p3:a/b"),
    (dt.timezone.utc, b"o17:datetime.timezones3:UTC"),
    (..., b"o17:builtins.ellipsis"),
    (list[int], b"G14:<class 'list'>l1:y12:builtins.int"),
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
    CachedLLM("openai", "gpt-4").chat("What is Python?", llm_func=lambda prompt, **options: "a", temperature=0.5)
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
            "1:117bd908df8caebe3ddf51e17a7561a9fe3b0c83",
            "1:4e5bf4a43b26029997b9cb81b8fc9ec3cfeccead",
            "1:13cfd4d11da61ebc8241bd9ff736398c61cebd9d",
            "1:fe83fab06695b6301523874344ee4e7cd2ed75af",
            "1:e36c27e25e662ef0c8deff7056083d477574b676",
            "1:6c03d2543487180b00d23feb6f363aa030a42222",
            "1:e31cbe944084890ae76656a8aee579ef6394b441",
            "1:971a1f6befd0cc5795b3fe8e922eccbc05432ac4",
            "1:b6735de4977b5ea66635ed7e1c816d3527befad9",
            "1:4113fea1670435f6f232a5f53554162f63c82a05",
        ],
        strict=True,
    )
)


@pytest.mark.parametrize("call", CALLS)
def test_keys(call):
    assert KEY_VERSION == 1
    assert CALLS[call]() == KEYS[call]


def test_the_documentation_shows_the_same_keys():
    text = (pathlib.Path(__file__).parents[2] / "docs" / "keys.md").read_text(encoding="utf-8")
    assert dict(re.findall(r"^\| `(.+)` \| `(1:[0-9a-f]{40})` \|$", text, re.MULTILINE)) == KEYS
