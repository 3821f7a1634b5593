"""The stored form of answers: what went in comes back, of the same type, and no code with it."""

import copy
import dataclasses
import datetime as dt
import enum
import json
import pickle
import sys
import typing
import uuid
import warnings
import zoneinfo
from collections import OrderedDict, namedtuple
from decimal import Decimal

import attrs
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semantic_llm_cache import CacheSerializationError, cache, last_lookup
from semantic_llm_cache.exceptions import CacheWarning
from semantic_llm_cache.values.encoding import Encoded, StoredModel, dumps, freeze, is_immutable, loads, same, thaw
from semantic_llm_cache.values.rebuilding import rebuild, revived

T = typing.TypeVar("T")


class Tone(enum.Enum):
    WARM = "warm"
    COLD = ("cold", 1)


class Level(enum.IntEnum):
    HIGH = 3


class Access(enum.Flag):
    READ = 1
    WRITE = 2


class Usage(pydantic.BaseModel):
    tokens: int
    cost: Decimal = Decimal("0.1")


class Reply(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    text: str
    usage: Usage | None = None
    tags: list[str] = []
    finish: str = pydantic.Field(default="stop", alias="finishReason")
    _request_id: str | None = pydantic.PrivateAttr(None)


class Box(pydantic.BaseModel, typing.Generic[T]):
    item: T


@dataclasses.dataclass
class Cite:
    url: str
    score: float = 0.0
    tone: Tone = Tone.WARM
    inner: "list[Cite]" = dataclasses.field(default_factory=list)
    rank: int = dataclasses.field(default=0, init=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    at: dt.datetime
    parts: tuple[Cite, ...] = ()


@dataclasses.dataclass
class Page(typing.Generic[T]):
    items: list[T]
    following: T | None = None


@attrs.define
class Attrs:
    x: int
    _hidden: str = "h"
    renamed: int = attrs.field(default=1, alias="other")
    derived: int = attrs.field(default=0, init=False)


@attrs.frozen
class AttrsFrozen:
    cite: Cite


Pair = namedtuple("Pair", "left right")


class Named(typing.NamedTuple):
    cite: Cite
    n: int = 0


class Dict(typing.TypedDict, total=False):
    cite: Cite
    others: list[Usage]


Alias = typing.NewType("Alias", Usage)
AT = dt.datetime(2026, 1, 2, 3, 4, 5, 6)


# ------------------------------------------------------------------------------- plain values

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.binary().map(bytearray)
    | st.complex_numbers() | st.decimals() | st.uuids() | st.dates() | st.timedeltas()
    | st.datetimes(timezones=st.none() | st.just(dt.timezone.utc) | st.timezones())
    | st.times(timezones=st.none() | st.just(dt.timezone.utc)),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=3) | st.sampled_from(["$", "v", "t"]), inner, max_size=4)
        | st.dictionaries(st.integers() | st.booleans() | st.tuples(st.text(max_size=2)), inner, max_size=3)
        | st.sets(st.integers() | st.text(max_size=3) | st.tuples(st.integers()), max_size=3)
        | st.frozensets(st.integers() | st.dates(), max_size=3)
    ),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=150)
@given(plain)
def test_plain_values_come_back_as_they_went_in(value):
    text = dumps(value)
    back = rebuild(loads(text), typing.Any)
    assert same(back, value)
    assert dumps(back) == text
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


@given(plain)
def test_freezing_hands_out_values_of_ones_own(value):
    frozen = freeze(value)
    assert same(thaw(frozen), value)
    if not is_immutable(value):
        assert type(frozen) is Encoded
        assert thaw(frozen) is not thaw(frozen)
        assert freeze(frozen) is frozen


@pytest.mark.parametrize(
    "value",
    [
        "", 0, [], {}, (), set(), None, b"", [[[]]], {"$": "tuple", "v": [1]}, {"$": {"$": 1}}, {1: {"$": 2}},
        {None: 1, True: 2, (1, 2): 3}, float("inf"), float("nan"), -0.0, 2**200, "\u2028\x00\x7f", "\\ud800",
        dt.datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")), Decimal("NaN"),
        dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=5, minutes=30, seconds=1))), uuid.UUID(int=0),
        dt.time(1, 2, tzinfo=zoneinfo.ZoneInfo("Asia/Tokyo")), dt.timedelta.min, {"a": ({"b": {1, 2}},)},
    ],
)  # fmt: skip
def test_corners(value):
    assert same(loads(dumps(value)), value)


def test_equal_sets_have_equal_text():
    assert dumps({"a", "b", "c", 1, None}) == dumps({None, "c", 1, "b", "a"})


# ------------------------------------------------------------------------------------- models


def reply(**more):
    made = Reply(text="t", usage=Usage(tokens=3), **more)
    made._request_id = "r1"
    return made


def cite(**more):
    made = Cite("u", 0.5, Tone.COLD, [Cite("v")], **more)
    made.rank = 4
    return made


MODELS = [
    (reply(), Reply),
    (reply(confidence=0.5, more={"a": (1,)}), Reply),
    (Reply(text="only"), Reply),
    (Reply(text="a", finishReason="length"), Reply | None),
    ([reply(), reply()], list[Reply]),
    ({"a": (reply(), 1)}, dict[str, tuple[Reply, int]]),
    ((1, cite()), tuple[int, Cite]),
    ((cite(), cite()), tuple[Cite, ...]),
    (Box[int](item=3), Box[int]),
    (Box[Usage](item=Usage(tokens=1)), Box[Usage]),
    (cite(), Cite),
    (cite(), typing.Optional[Cite]),  # noqa: UP045
    (cite(), Reply | Cite),
    ([Usage(tokens=1), cite()], list[Usage | Cite]),
    ([cite()], list[Usage] | list[Cite]),
    (cite(), typing.Annotated[Cite, "note"]),
    (Frozen(AT, (cite(),)), Frozen),
    (Page([Usage(tokens=1)], Usage(tokens=2)), Page[Usage]),
    (Page([{"a": Cite("u")}]), Page[dict[str, Cite]]),
    (Attrs(1, "x", 3), Attrs),
    (AttrsFrozen(cite()), AttrsFrozen),
    (Pair(1, [2]), Pair),
    (Named(cite(), 2), Named),
    ({"cite": cite(), "others": [Usage(tokens=1)]}, Dict),
    ([{"cite": cite()}], list[Dict]),
    (Usage(tokens=1), Alias),
    (Tone.COLD, Tone),
    ([Tone.WARM, Level.HIGH], list[Tone | Level]),
    (Access.READ | Access.WRITE, Access),
    ({Tone.WARM: 1}, dict[Tone, int]),
    ({Tone.WARM}, set[Tone]),
    (frozenset({Level.HIGH}), frozenset[Level]),
    ([cite()], typing.Sequence[Cite]),
    ({"a": cite()}, typing.Mapping[str, Cite]),
]


@pytest.mark.parametrize(("value", "target"), MODELS, ids=lambda x: getattr(x, "__name__", None) or str(x)[:40])
def test_models_come_back_through_the_type_the_caller_holds(value, target):
    text = dumps(value)
    back = rebuild(loads(text), target)
    assert same(back, value)
    assert back == value
    assert dumps(back) == text


def test_what_a_pydantic_model_was_given_is_remembered():
    for value in (Reply(text="a"), Reply(text="a", finishReason="x"), Reply(text="a", more=1), reply()):
        back = rebuild(loads(dumps(value)), Reply)
        assert back.model_fields_set == value.model_fields_set
        assert back.model_dump(exclude_unset=True) == value.model_dump(exclude_unset=True)
        assert back.model_extra == value.model_extra
        assert back._request_id == value._request_id
        back.text = "changed"
        back.tags.append("x")
    assert Reply(text="a").tags == []


def test_values_that_validation_would_change_are_kept():
    odd = Usage.model_construct(tokens="three", cost=1)
    assert same(rebuild(loads(dumps(odd)), Usage), odd)


def test_a_model_whose_hooks_need_its_fields():
    class Hooked(pydantic.BaseModel):
        n: int
        _twice: int = pydantic.PrivateAttr(0)

        def model_post_init(self, context):
            self._twice = self.n * 2

    back = rebuild(loads(dumps(Hooked(n=2))), Hooked)
    assert (back.n, back._twice) == (2, 4)


def test_a_subclass_comes_back_as_itself():
    class Longer(Usage):
        more: str = "m"

    value = [Longer(tokens=1), Usage(tokens=2)]
    back = rebuild(loads(dumps(value)), list[Usage])
    assert [type(item) for item in back] == [Longer, Usage]


def test_classes_of_a_function_that_speak_of_themselves():
    @dataclasses.dataclass
    class Node:
        children: "list[Node]"

    class Tree(pydantic.BaseModel):
        children: "list[Tree]" = []

    for value in (Node([Node([])]), Tree(children=[Tree()])):
        assert rebuild(loads(dumps(value)), type(value)) == value


def test_aliases_of_types():
    import typing_extensions

    Answer = typing_extensions.TypeAliasType("Answer", list[Usage])
    assert rebuild(loads(dumps([Usage(tokens=1)])), Answer) == [Usage(tokens=1)]


def test_fields_added_since_get_their_defaults():
    stored = StoredModel(f"{__name__}.Usage", {"tokens": 1})
    assert rebuild(stored, Usage) == Usage(tokens=1)
    stored = StoredModel(f"{__name__}.Cite", {"url": "u"})
    assert rebuild(stored, Cite) == Cite("u")


@pytest.mark.parametrize(
    ("stored", "target"),
    [
        (StoredModel(f"{__name__}.Usage", {"tokens": 1, "gone": 2}), Usage),
        (StoredModel(f"{__name__}.Usage", {}), Usage),
        (StoredModel(f"{__name__}.Usage", {"tokens": 1}, extra={"more": 1}), Usage),
        (StoredModel(f"{__name__}.Cite", {"nope": 1, "url": "u"}, {}), Frozen),
        (StoredModel(f"{__name__}.Cite", {}), Cite),
        (StoredModel(f"{__name__}.Tone", {"value": "hot"}), Tone),
        (StoredModel("builtins.object", {}), typing.Any),
        (StoredModel("os.system", {"command": "true"}), str),
        (StoredModel(f"{__name__}.Usage", {"tokens": 1}), None),
        (StoredModel(f"{__name__}.Usage", {"tokens": 1}), Cite | None),
        (StoredModel("builtins.type", {}), type),
    ],
)
def test_what_does_not_fit_is_an_error(stored, target):
    with pytest.raises(CacheSerializationError):
        rebuild(stored, target)


def test_nothing_is_imported_by_a_stored_name():
    text = dumps(Usage(tokens=1)).replace(f"{__name__}.Usage", "antigravity.Usage")
    before = set(sys.modules)
    model = loads(text)
    with pytest.raises(CacheSerializationError):
        rebuild(model, Usage)
    with pytest.raises(CacheSerializationError, match=r"antigravity\.Usage cannot be rebuilt"):
        rebuild(model, typing.Any)
    assert set(sys.modules) == before


# ------------------------------------------------------------------------------- hostile text

tags = st.sampled_from(
    ["float", "dict", "tuple", "set", "frozenset", "bytes", "bytearray", "complex", "datetime", "time", "date",
     "timedelta", "Decimal", "UUID", "model", "pickle", "", None, 3, [], {}]
)  # fmt: skip
hostile = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
    | st.sampled_from(["America", "../../etc/passwd", "2026-01-01", "os.system", "1e999999999", "===="]),
    lambda inner: st.lists(inner, max_size=4)
    | st.fixed_dictionaries({"$": tags}, optional={"v": inner, "t": inner, "x": inner, "p": inner, "u": inner})
    | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=400)
@given(hostile)
def test_hostile_text_is_a_value_or_our_error(value):
    try:
        loads(json.dumps(value))
    except CacheSerializationError:
        pass


@given(st.text(max_size=40))
def test_any_text_is_a_value_or_our_error(text):
    try:
        loads(text)
    except CacheSerializationError:
        pass


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[" * 100_000, "NaN", "[Infinity]", "9" * 5000, '{"$":"model","t":1,"v":{}}',
        '{"$":"model","t":"a.B","v":[]}', '{"$":"UUID","v":5}', '{"$":"nope","v":1}', '{"$":"tuple"}',
        '{"$":"datetime","v":["2026-01-01","America",0]}', '{"$":"datetime","v":["2026-01-01","../x",0]}',
        '{"$":"set","v":[[]]}', '{"$":"dict","v":[1]}', '{"$":"bytes","v":"?"}', '{"$":["list"],"v":1}',
        '{"$":"timedelta","v":[999999999999,0,0]}',
    ],
)  # fmt: skip
def test_damaged_text_is_our_error(text):
    with pytest.raises(CacheSerializationError):
        loads(text)


# ------------------------------------------------------------------------ what has no stored form


class Odd:
    pass


class Shout(str):
    pass


def circle():
    made = []
    made.append(made)
    return made


def deep():
    made = []
    for _ in range(100_000):
        made = [made]
    return made


UNSTORABLE = [
    Odd(), [Odd()], {"a": {"b": Odd()}}, lambda: 1, (i for i in "a"), circle(), Shout("x"), OrderedDict(a=1),
    [10**5000], object, deep(),
]  # fmt: skip


@pytest.mark.parametrize("value", UNSTORABLE, ids=lambda value: type(value).__name__)
def test_what_has_no_form_is_an_error(value):
    with pytest.raises(CacheSerializationError):
        dumps(value)


def test_the_error_says_where_and_what_to_do():
    with pytest.raises(CacheSerializationError, match=r"answer\['a'\]\[1\]\.inner is a .*Odd.*return plain data"):
        dumps({"a": [0, Cite("u", inner=Odd())]})


@pytest.mark.parametrize("value", UNSTORABLE, ids=lambda value: type(value).__name__)
async def test_what_cannot_be_stored_is_returned_uncached_with_one_warning(value):
    ran = []

    @cache
    async def ask(prompt):
        ran.append(prompt)
        return value

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for prompt in "aab":
            assert await ask(prompt) is value
            assert not last_lookup().stored
    assert ran == ["a", "a", "b"]
    assert [w.category for w in caught] == [CacheWarning]
    assert "returned uncached" in str(caught[0].message)


async def test_a_model_without_a_type_to_rebuild_it_is_returned_uncached():
    @cache
    async def untyped(prompt):
        return Usage(tokens=1)

    @cache(result_type=Usage)
    async def typed(prompt):
        return Usage(tokens=1)

    with pytest.warns(CacheWarning, match="annotate the function's return type or pass result_type="):
        assert await untyped("q") == Usage(tokens=1)
    assert not (await untyped.cache_lookup("q")).hit
    assert await typed("q") == await typed("q") == Usage(tokens=1)
    assert (await typed.cache_lookup("q")).hit


# ------------------------------------------------------------------------------- through @cache


@pytest.mark.parametrize(("value", "target"), MODELS, ids=lambda x: getattr(x, "__name__", None) or str(x)[:40])
def test_cached_models_are_equal_and_ones_own(value, target):
    ran = []

    @cache(result_type=target)
    def ask(prompt):
        ran.append(prompt)
        return value

    assert ask("q") is value
    one, two = ask("q"), ask("q")
    assert len(ran) == 1
    assert same(one, value)
    if not isinstance(value, enum.Enum):
        assert one is not value
        assert one is not two


def test_what_a_caller_does_to_an_answer_changes_no_stored_one():
    @cache
    def ask(prompt) -> list[dict[str, list[int]]]:
        return [{"a": [1]}]

    @cache
    def model(prompt) -> Reply:
        return Reply(text="t", usage=Usage(tokens=1))

    for _ in range(3):
        got = ask("q")
        assert got == [{"a": [1]}]
        got[0]["a"].append(2)
        got.clear()
        reply = model("q")
        assert reply.usage.tokens == 1
        reply.usage.tokens = 5
        reply.tags.append("x")
        assert reply.tags == ["x"]


@pytest.mark.parametrize("value", [None, "", [], {}, 0, False, (), b""])
def test_empty_answers_are_answers(value):
    ran = []

    @cache
    def ask(prompt):
        ran.append(prompt)
        return value

    assert same(ask("q"), value)
    assert same(ask("q"), value)
    assert len(ran) == 1


def test_annotations_written_as_text_are_understood():
    class Local(pydantic.BaseModel):
        n: int

    def ask(prompt: "OnlyForCheckers") -> "list[Local]":  # noqa: F821
        return [Local(n=1)]

    cached = cache(ask)

    class Service:
        @cache
        def ask(self, prompt: str) -> "Local":
            return Local(n=2)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert cached("q") == cached("q") == [Local(n=1)]
        assert Service().ask("q") == Service().ask("q") == Local(n=2)
    assert caught == []
    assert cached.cache_lookup("q").hit
    assert Service().ask.cache_lookup("q").hit


async def test_answers_of_a_real_sdk_come_back_whole():
    import httpx2
    import openai
    from openai.types.chat import ChatCompletion

    body = {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "provider_extra": {"region": "x"},
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
    }  # fmt: skip
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, json=body, headers={"x-request-id": "req1"}))
    client = openai.AsyncOpenAI(
        api_key="k", base_url="http://one.test", http_client=httpx2.AsyncClient(transport=transport)
    )

    @cache
    async def ask(prompt: str) -> ChatCompletion:
        return await client.chat.completions.create(model="m", messages=[{"role": "user", "content": prompt}])

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first, second = await ask("q"), await ask("q")
    assert last_lookup().outcome == "exact"
    assert type(second) is ChatCompletion
    assert second == first
    assert second.to_dict() == first.to_dict() == body
    assert second._request_id == first._request_id == "req1"
    assert second.choices[0].message.content == "Hi"
    lookup = last_lookup()
    assert lookup.saved_usd == pytest.approx(9 / 1000 * 0.001 + 2 / 1000 * 0.002)


_JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def containers(value):
    if isinstance(value, (list, dict)):
        yield id(value)
        for item in value.values() if isinstance(value, dict) else value:
            yield from containers(item)


@settings(max_examples=60, deadline=None)
@given(_JSON_VALUES)
def test_every_reader_of_a_stored_form_gets_a_value_of_its_own(value):
    stored = Encoded(dumps(value))
    readers = [revived(stored, typing.Any) for _ in range(3)]
    assert all(same(reader, value) for reader in readers)
    seen = [set(containers(reader)) for reader in readers]
    assert len(set().union(*seen)) == sum(map(len, seen))
    for copied in (pickle.loads(pickle.dumps(stored)), copy.deepcopy(stored), copy.copy(stored)):
        assert copied == stored
        assert same(copied.decode(), value)


@pytest.mark.parametrize(
    "value", [{"a": (1, [2])}, [{1: "int key"}], {"s": {1, 2}}, {"$": "no tag", "v": (1,)}, [b"bytes"], {"x": 1j}]
)
def test_a_stored_form_of_other_types_is_read_alike_each_time(value):
    stored = Encoded(dumps(value))
    for _ in range(3):
        assert same(revived(stored, typing.Any), value)
    assert not stored.plain


def test_a_tag_in_another_spelling_is_still_a_tag():
    stored = Encoded('{"\\u0024": "tuple", "v": [1, [2]]}')
    assert [stored.decode() for _ in range(2)] == [(1, [2])] * 2
    assert not stored.plain


def test_the_value_of_a_long_text_is_not_kept():
    stored = Encoded(dumps(["x" * 20_000]))
    assert stored.decode() == stored.decode() == ["x" * 20_000]
    assert not stored.plain
