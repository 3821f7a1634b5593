"""Pairs of values that mean different things and try to look alike. Each maker returns a new pair."""

import array
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import ipaddress
import pathlib
import re
import types
import typing
import uuid
import zoneinfo

import attrs
import numpy as np
import pydantic

PAIRS = {}


def pair(function):
    """Register a maker of a pair under its name."""
    PAIRS[function.__name__.replace("_", " ").strip()] = function
    return function


def pairs(**given):
    """Register pairs of immutable values."""
    for name, value in given.items():
        PAIRS[name.replace("_", " ")] = lambda value=value: value


# ---------------------------------------------------------------- equal to Python, or in their text

pairs(
    true_and_1=(True, 1),
    one_and_1_0=(1, 1.0),
    true_and_1_0=(True, 1.0),
    zero_and_false=(0, False),
    digit_and_number=("1", 1),
    text_and_bytes=("a", b"a"),
    none_and_its_name=(None, "None"),
    none_and_empty=(None, ""),
    list_and_tuple=(["a"], ("a",)),
    empty_containers=([], {}),
    nan_and_zero=(float("nan"), 0.0),
    nan_and_infinity=(float("nan"), float("inf")),
    nan_and_its_name=(float("nan"), "nan"),
    large_integers=(2**53, 2**53 + 1),
    integer_and_float_beyond_2_53=(2**53, float(2**53)),
    close_floats=(0.1 + 0.2, 0.3),
    complex_parts=(1 + 2j, 2 + 1j),
    keys_true_and_1=({True: "a"}, {1: "a"}),
    keys_1_and_digit=({1: "a"}, {"1": "a"}),
    nested_and_flat=([["a"], "b"], [["a", "b"]]),
    joined_and_split=(["a", "b"], ["a,b"]),
    separator_moved=(("a:b", "c"), ("a", "b:c")),
    length_prefix=(("s1:a",), ("a",)),
    key_and_value_swapped=({"a": "b"}, {"b": "a"}),
    missing_and_none=({"a": None}, {}),
    decimals_of_other_precision=(decimal.Decimal("1.0"), decimal.Decimal("1.00")),
    decimal_and_text=(decimal.Decimal("1"), "1"),
    fractions_and_floats=(fractions.Fraction(1, 2), 0.5),
    slices=(slice(1, 2), slice(1, 3)),
    uuids=(uuid.UUID(int=1), uuid.UUID(int=2)),
    uuid_and_text=(uuid.UUID(int=1), str(uuid.UUID(int=1))),
)

# ---------------------------------------------------------------- writing

pairs(
    composed_and_decomposed=("Ren\u00e9", "Rene\u0301"),
    latin_and_cyrillic=("paypal", "p\u0430ypal"),
    zero_width=("acme", "acme\u200b"),
    tag_characters=("acme", "acme" + "".join(chr(0xE0000 + ord(c)) for c in "evil")),
    variation_selector=("acme", "acme\ufe0f"),
    bidi_override=("acme", "\u202eemca\u202c"),
    trailing_space=("acme", "acme "),
    nul=("acme", "acme\0"),
    capitals=("acme", "ACME"),
    full_width=("acme", "ａｃｍｅ"),
    sharp_s=("strasse", "straße"),
    lone_surrogate=("\ud800", "?"),
    surrogates_and_their_pair=("\ud83d\ude00", "\U0001f600"),
)

# ---------------------------------------------------------------- subclasses that lie


class Loud(str):
    def __str__(self):
        return "the same"

    __repr__ = __str__

    def encode(self, *_):
        return b"the same"

    def __eq__(self, other):
        return True

    def __hash__(self):
        return 1


class Number(int):
    def __index__(self):
        return 0

    def __eq__(self, other):
        return True

    def __ge__(self, other):
        return True

    def __neg__(self):
        return 0

    def __hash__(self):
        return 1

    def __format__(self, spec):
        return "0"

    def __repr__(self):
        return "0"

    __str__ = __repr__
    __int__ = __index__


class Real(float):
    def __eq__(self, other):
        return True

    def __hash__(self):
        return 1

    def __repr__(self):
        return "0.0"

    def __float__(self):
        return 0.0


class Octets(bytes):
    def __len__(self):
        return 0

    def __bytes__(self):
        return b""

    def __iter__(self):
        return iter(())


class Row(list):
    def __iter__(self):
        return iter(())

    def __len__(self):
        return 0


class Couple(tuple):
    def __iter__(self):
        return iter(())

    def __len__(self):
        return 0


class Group(set):
    def __iter__(self):
        return iter(())

    def __len__(self):
        return 0


class Table(dict):
    def items(self):
        return ()

    def keys(self):
        return ()

    def __iter__(self):
        return iter(())

    def __len__(self):
        return 0


pairs(
    text_that_lies=(Loud("a"), Loud("b")),
    integers_that_lie=(Number(1), Number(2)),
    floats_that_lie=(Real(1), Real(2)),
    bytes_that_lie=(Octets(b"a"), Octets(b"b")),
    tuples_that_lie=(Couple(("a",)), Couple(("b",))),
)
PAIRS["lists that lie"] = lambda: (Row(["a"]), Row(["b"]))
PAIRS["sets that lie"] = lambda: (Group(["a"]), Group(["b"]))
PAIRS["dicts that lie"] = lambda: (Table(a=1), Table(b=1))


class Tagged:
    """Mixed into plain types: state that the plain type does not hold."""

    def tag(self, tenant):
        self.tenant = tenant
        return self


def tagged(base, *arguments):
    """Return two instances of a plain subclass of `base` that differ in an attribute only."""
    kind = type(f"Tagged{base.__name__.title()}", (Tagged, base), {})
    return lambda: (kind(*arguments).tag("a"), kind(*arguments).tag("b"))


for _base, *_arguments in (
    (str, "x"), (int, 1), (float, 1.0), (bytes, b"x"), (bytearray, b"x"), (list, [1]), (tuple, (1,)), (dict, {"a": 1}),
    (set, {1}), (frozenset, {1}), (complex, 1j), (decimal.Decimal, "1"), (fractions.Fraction, 1),
    (dt.datetime, 2026, 1, 1), (dt.date, 2026, 1, 1), (dt.time, 1), (dt.timedelta, 1),
    (collections.OrderedDict, {"a": 1}), (collections.defaultdict, None, {"a": 1}), (collections.deque, [1]),
    (collections.Counter, {"a": 1}), (collections.UserDict, {"a": 1}), (collections.UserList, [1]),
    (collections.UserString, "x"), (types.SimpleNamespace,), (Exception, "x"), (pathlib.PurePosixPath, "x"),
    (ipaddress.IPv4Address, "10.0.0.1"),
):  # fmt: skip
    PAIRS[f"attribute of a subclass of {_base.__name__}"] = tagged(_base, *_arguments)


# ---------------------------------------------------------------- dataclasses, models and their kin


@dataclasses.dataclass
class Record:
    name: str = "x"
    hidden: str = dataclasses.field(default="", compare=False, repr=False, hash=False)


class PlainRecord(Record):
    pass


@dataclasses.dataclass
class WithInitVar:
    tenant: dataclasses.InitVar[str]
    name: str = "x"

    def __post_init__(self, tenant):
        self.key = f"key of {tenant}"


@dataclasses.dataclass
class DictRecord(dict):
    name: str = "x"


@dataclasses.dataclass
class ListRecord(list):
    name: str = "x"


@dataclasses.dataclass(frozen=True)
class Frozen:
    name: str = "x"


@attrs.define(slots=False)
class Attrs:
    name: str = "x"
    hidden: str = attrs.field(default="", eq=False, repr=False)


class Point(collections.namedtuple("Point", "x")):
    pass


class Model(pydantic.BaseModel, extra="allow"):
    name: str = "x"
    hidden: str = pydantic.Field(default="", exclude=True, repr=False)
    _tenant: str = ""


class SlottedSpace(types.SimpleNamespace):
    __slots__ = ("tenant",)


def _with(value, **attributes):
    for name, item in attributes.items():
        object.__setattr__(value, name, item)
    return value


def _private(tenant):
    made = Model()
    made._tenant = tenant
    return made


PAIRS |= {
    "field that does not compare": lambda: (Record(hidden="a"), Record(hidden="b")),
    "field set later": lambda: (_with(Record(), tenant="a"), _with(Record(), tenant="b")),
    "plain subclass of a dataclass": lambda: (_with(PlainRecord(), tenant="a"), _with(PlainRecord(), tenant="b")),
    "InitVar": lambda: (WithInitVar("a"), WithInitVar("b")),
    "frozen dataclass, forced": lambda: (_with(Frozen(), tenant="a"), _with(Frozen(), tenant="b")),
    "excluded field of a model": lambda: (Model(hidden="a"), Model(hidden="b")),
    "extra of a model": lambda: (Model(tenant="a"), Model(tenant="b")),
    "private field of a model": lambda: (_private("a"), _private("b")),
    "attribute forced on a model": lambda: (_with(Model(), other="a"), _with(Model(), other="b")),
    "attrs field that does not compare": lambda: (Attrs(hidden="a"), Attrs(hidden="b")),
    "attrs field set later": lambda: (_with(Attrs(), tenant="a"), _with(Attrs(), tenant="b")),
    "named tuple's attribute": lambda: (_with(Point(1), tenant="a"), _with(Point(1), tenant="b")),
    "slot of a namespace": lambda: (_with(SlottedSpace(), tenant="a"), _with(SlottedSpace(), tenant="b")),
    "secret text and bytes": lambda: (pydantic.SecretStr("a"), pydantic.SecretBytes(b"a")),
    "secrets": lambda: (pydantic.SecretStr("a"), pydantic.SecretStr("b")),
    "secret and its mask": lambda: (pydantic.SecretStr("a"), "**********"),
}


@pair
def dataclass_that_is_a_dict():
    one, other = DictRecord(), DictRecord()
    one["tenant"], other["tenant"] = "a", "b"
    return one, other


@pair
def dataclass_that_is_a_list():
    one, other = ListRecord(), ListRecord()
    one.append("a")
    other.append("b")
    return one, other


# ---------------------------------------------------------------- containers

PAIRS |= {
    "order of an ordered dict": lambda: (
        collections.OrderedDict([("a", 1), ("b", 2)]),
        collections.OrderedDict([("b", 2), ("a", 1)]),
    ),
    "factory of a default dict": lambda: (collections.defaultdict(list), collections.defaultdict(int)),
    "lambda of a default dict": lambda: (
        collections.defaultdict(lambda: "a"),
        collections.defaultdict(lambda: "b"),
    ),
    "length of a deque": lambda: (collections.deque([1], maxlen=2), collections.deque([1], maxlen=3)),
    "bounded deque": lambda: (collections.deque([1]), collections.deque([1], maxlen=3)),
    "mapping proxies": lambda: (types.MappingProxyType({"a": 1}), types.MappingProxyType({"a": 2})),
    "user dicts": lambda: (collections.UserDict(a=1), collections.UserDict(a=2)),
    "arrays": lambda: (array.array("i", [1]), array.array("i", [2])),
    "memory views": lambda: (memoryview(b"a"), memoryview(b"b")),
}

# ---------------------------------------------------------------- numpy


class Signed(np.ndarray):
    pass


def _signed(tenant):
    made = np.zeros(2).view(Signed)
    made.tenant = tenant
    return made


PAIRS |= {
    "names of a structured array": lambda: (
        np.array([(1, 2)], dtype=[("a", "i4"), ("b", "i4")]),
        np.array([(1, 2)], dtype=[("b", "i4"), ("a", "i4")]),
    ),
    "types of a structured array": lambda: (
        np.zeros(1, dtype=[("a", "i4"), ("b", "i4")]),
        np.zeros(1, dtype=[("a", "f4"), ("b", "i4")]),
    ),
    "scalar of a structured array": lambda: (
        np.array([(1, 2)], dtype=[("a", "i4"), ("b", "i4")])[0],
        np.array([(1, 2)], dtype=[("b", "i4"), ("a", "i4")])[0],
    ),
    "metadata of a dtype": lambda: (
        np.zeros(1, dtype=np.dtype("f8", metadata={"tenant": "a"})),
        np.zeros(1, dtype=np.dtype("f8", metadata={"tenant": "b"})),
    ),
    "attribute of an array": lambda: (_signed("a"), _signed("b")),
    "mask of an array": lambda: (
        np.ma.masked_array([1, 2], mask=[True, False]),
        np.ma.masked_array([1, 2], mask=[False, True]),
    ),
    "shape of an array": lambda: (np.zeros((1, 4)), np.zeros((2, 2))),
    "byte order": lambda: (np.array([1], dtype="<i2"), np.array([256], dtype=">i2")),
    "array of objects": lambda: (np.array(["a", None], dtype=object), np.array(["b", None], dtype=object)),
    "unit of a time": lambda: (np.timedelta64(1, "s"), np.timedelta64(1, "m")),
}

# ---------------------------------------------------------------- times, paths, addresses, patterns, enums


class Zone(dt.tzinfo):
    def __init__(self, tenant):
        self.tenant = tenant

    def utcoffset(self, when):
        return dt.timedelta(0)

    def tzname(self, when):
        return "UTC"

    def dst(self, when):
        return None


_NOON = dt.datetime(2026, 10, 25, 2, 30)
PAIRS |= {
    "one instant in two zones": lambda: (
        dt.datetime(2026, 1, 1, 12, tzinfo=dt.timezone.utc),
        dt.datetime(2026, 1, 1, 13, tzinfo=dt.timezone(dt.timedelta(hours=1))),
    ),
    "fold": lambda: (_NOON, _NOON.replace(fold=1)),
    "naive and aware": lambda: (_NOON, _NOON.replace(tzinfo=dt.timezone.utc)),
    "zones of one offset": lambda: (
        _NOON.replace(tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")),
        _NOON.replace(tzinfo=zoneinfo.ZoneInfo("Europe/Paris")),
    ),
    "zone with state": lambda: (_NOON.replace(tzinfo=Zone("a")), _NOON.replace(tzinfo=Zone("b"))),
    "time zone of a time": lambda: (dt.time(1, tzinfo=Zone("a")), dt.time(1, tzinfo=Zone("b"))),
    "named zones of one offset": lambda: (
        dt.timezone(dt.timedelta(0), "a"),
        dt.timezone(dt.timedelta(0), "b"),
    ),
    "date and datetime": lambda: (dt.date(2026, 1, 1), dt.datetime(2026, 1, 1)),
    "paths of two systems": lambda: (pathlib.PurePosixPath("a"), pathlib.PureWindowsPath("a")),
    "path and text": lambda: (pathlib.PurePosixPath("a"), "a"),
    "scopes of an address": lambda: (
        ipaddress.IPv6Address("fe80::1%a"),
        ipaddress.IPv6Address("fe80::1%b"),
    ),
    "flags of a pattern": lambda: (re.compile("a"), re.compile("a", re.I)),
    "patterns of text and bytes": lambda: (re.compile("a"), re.compile(b"a")),
    "values of two enums of one name": lambda: (
        enum.Enum("Tier", {"A": "one"}).A,
        enum.Enum("Tier", {"A": "two"}).A,
    ),
    "combined flags": lambda: (re.I | re.M, re.I | re.S),
    "enum and its name": lambda: (enum.Enum("Tier", {"A": 1}).A, "A"),
}


@pair
def state_of_an_enum_member():
    one = enum.Enum("Tier", {"A": 1}).A
    other = enum.Enum("Tier", {"A": 1}).A
    one.tenant, other.tenant = "a", "b"
    return one, other


# ---------------------------------------------------------------- types


def _class_of(tenant):
    class Made:
        pass

    Made.tenant = tenant
    return Made


PAIRS |= {
    "classes of one factory": lambda: (_class_of("a"), _class_of("b")),
    "parameters of a list": lambda: (list[int], list[str]),
    "literals": lambda: (typing.Literal["a"], typing.Literal["b"]),
    "unions": lambda: (int | str, int | bytes),
    "annotations": lambda: (typing.Annotated[int, "a"], typing.Annotated[int, "b"]),
    "model classes of one name": lambda: (
        pydantic.create_model("Answer", a=(int, 0)),
        pydantic.create_model("Answer", b=(int, 0)),
    ),
}


@pair
def pydantic_model_and_class_of_another_module():
    one, other = type("Same", (), {}), type("Same", (), {})
    one.__module__, other.__module__ = "a", "b"
    return one, other
