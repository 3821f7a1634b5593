"""All that a value holds counts: beyond its fields, beneath its type, inside its functions."""

import asyncio
import collections
import contextvars
import dataclasses
import datetime as dt
import enum
import functools
import io
import logging
import operator
import pathlib
import queue
import re
import threading
import types
import typing
import weakref
from collections import OrderedDict, UserDict, defaultdict, deque

import attrs
import numpy as np
import pydantic
import pytest

from semantic_llm_cache import CacheKeyError
from semantic_llm_cache.keys.fingerprint import canonical, canonical_field, fingerprint_instance


@dataclasses.dataclass
class Data:
    name: str = "n"
    seed: dataclasses.InitVar[int] = 0

    def __post_init__(self, seed):
        self.hidden = seed


@dataclasses.dataclass(slots=True)
class Slim:
    name: str = "n"


@dataclasses.dataclass
class DataDict(dict):
    name: str = "n"


@dataclasses.dataclass
class DataList(list):
    name: str = "n"


class Word(str):
    pass


class Number(int):
    pass


class Row(list):
    pass


class Table(dict):
    pass


class Pair(typing.NamedTuple):
    a: int
    b: int


class NamedPair(Pair):
    pass


class Space(types.SimpleNamespace):
    __slots__ = ("tenant",)


class Day(dt.date):
    pass


class Place(pathlib.PurePosixPath):
    pass


class Array(np.ndarray):
    pass


class Model(pydantic.BaseModel):
    name: str = "n"
    _private: str = pydantic.PrivateAttr("")


@attrs.define(slots=False)
class Attrs:
    name: str = "n"


class Local(threading.local):
    pass


class Colour(enum.Enum):
    RED = 1


def colour(value):
    return enum.Enum("Colour", {"RED": value}, module=__name__)


def array(tenant):
    made = np.zeros(2).view(Array)
    made.tenant = tenant
    return made


def structured(*names):
    return np.zeros(1, dtype=[(name, "i4") for name in names])


def with_attribute(value, tenant):
    value.tenant = tenant
    return value


def private(value, tenant):
    value._private = tenant
    return value


def filled(value, *items):
    (value.update if isinstance(value, dict) else value.extend)(*items)
    return value


BEYOND = {
    "InitVar": lambda tenant: Data("n", tenant),
    "dataclass": lambda tenant: with_attribute(Data(), tenant),
    "dataclass that is a dict": lambda tenant: filled(DataDict(), {"tenant": tenant}),
    "dataclass that is a list": lambda tenant: filled(DataList(), [tenant]),
    "str": lambda tenant: with_attribute(Word("a"), tenant),
    "int": lambda tenant: with_attribute(Number(1), tenant),
    "list": lambda tenant: with_attribute(Row([1]), tenant),
    "dict": lambda tenant: with_attribute(Table(a=1), tenant),
    "named tuple": lambda tenant: with_attribute(NamedPair(1, 2), tenant),
    "slot of a namespace": lambda tenant: with_attribute(Space(a=1), tenant),
    "date": lambda tenant: with_attribute(Day(2026, 1, 1), tenant),
    "path": lambda tenant: with_attribute(Place("a"), tenant),
    "array": array,
    "private": lambda tenant: private(Model(), str(tenant)),
    "attrs": lambda tenant: with_attribute(Attrs(), tenant),
    "UserDict": lambda tenant: UserDict(tenant=tenant),
    "UserDict's own": lambda tenant: with_attribute(UserDict(), tenant),
    "ChainMap": lambda tenant: collections.ChainMap({}, {"tenant": tenant}),
    "mapping proxy": lambda tenant: types.MappingProxyType({"tenant": tenant}),
    "deque": lambda tenant: deque([1], maxlen=tenant),
    "structured": lambda tenant: structured("a", f"b{tenant}"),
    "masked": lambda tenant: np.ma.array([1, 2], mask=[tenant == 3, 0]),
    "masked value": lambda tenant: np.ma.array([1, 2], fill_value=tenant),
    "enum": lambda tenant: colour(tenant).RED,
    "zone": lambda tenant: dt.timezone(dt.timedelta(hours=tenant), "X"),
    "class": lambda tenant: dataclasses.make_dataclass("Reply", [(f"a{tenant}", int)]),
    "class made here": lambda tenant: type("Reply", (), {"__annotations__": {"a": typing.Literal[tenant]}}),
}


@pytest.mark.parametrize("kind", BEYOND)
def test_what_a_value_holds_beyond_its_fields_counts(kind):
    make = BEYOND[kind]
    one, same, other = (canonical(make(tenant)) for tenant in (3, 3, 4))
    assert one == same != other


DISTINCT = [
    defaultdict(list), defaultdict(int), defaultdict(), {}, OrderedDict(), OrderedDict(a=1, b=2), OrderedDict(b=2, a=1),
    deque([1]), deque([1], 1), deque([1], 2), pydantic.SecretStr("a"), pydantic.SecretBytes(b"a"),
    pydantic.Secret[int](1), pydantic.Secret[int](2), pathlib.PurePosixPath("a"), pathlib.PureWindowsPath("a"), "a",
    np.zeros(2, "<f4"), np.zeros(2, ">f4"), np.ma.zeros(2, "<f4"), np.rec.array([(1,)], dtype=[("a", "i4")]),
    structured("a"), structured("a", "b"), structured("b", "a"), np.zeros(1, dtype=[("a", "i4", (1,))]),
    np.zeros(1, np.dtype({"names": ["a"], "formats": ["i4"], "offsets": [4], "itemsize": 8})),
    np.zeros(1, np.dtype({"names": ["a"], "formats": ["i4"], "itemsize": 8})),
    np.zeros(1, np.dtype([(("t", "a"), "i4")])),
    np.datetime64(1, "s"), np.datetime64(1, "ms"), np.str_("a"), np.int64(1), np.int32(1), Number(1), Word("a"),
    dt.timezone.utc, dt.timezone(dt.timedelta(0), "X"), dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc),
    dt.datetime(2026, 1, 1, tzinfo=dt.timezone(dt.timedelta(0), "X")), Pair(1, 2), NamedPair(1, 2), (1, 2),
    Slim(), Data(),
    re.compile("a"), re.compile(b"a"), typing.Any, typing.Optional[int], typing.Union[int, str], typing.List[int],  # noqa: UP006, UP007, UP045
    typing.TypeVar("T"), typing.TypeVar("T", bound=int), typing.ForwardRef("A"), typing.Annotated[int, 1],
    typing.Annotated[int, 2], typing.Callable[[int], str], typing.NewType("A", int), typing.NewType("A", str),
]  # fmt: skip


def test_different_values_have_different_forms():
    seen = {}
    for value in DISTINCT:
        form = canonical(value)
        assert form not in seen, f"{value!r} and {seen[form]!r} have one form"
        seen[form] = value


def test_a_subclass_cannot_mislead_by_how_it_is_read():
    class Liar(dict):
        def items(self):
            return {}.items()

        def __iter__(self):
            return iter(())

        def __len__(self):
            return 0

    class Quiet(str):
        def __str__(self):
            return "same"

        def encode(self, *_):
            return b"same"

    class Empty(list):
        def __iter__(self):
            return iter(())

    for make in (lambda x: Liar(a=x), lambda x: Quiet(x), lambda x: Empty([x])):
        assert canonical(make("a")) != canonical(make("b"))


@pytest.mark.parametrize(
    "holder", [lambda x: np.array([x], dtype=object), lambda x: iter([x]), lambda x: memoryview(b"a")]
)
def test_what_python_cannot_read_is_refused(holder):
    with pytest.raises(CacheKeyError, match=r"^spot is a "):
        canonical(holder(1), "spot")


def test_a_model_without_a_schema_is_refused():
    class Odd(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
        field: threading.Event

    with pytest.raises(CacheKeyError, match=r"Odd, which has no JSON schema"):
        canonical(Odd)


# --------------------------------------------------------------------------------- functions

TOKEN = "a"
CLASH = object()


def reads_token(prompt):
    return TOKEN + prompt


def reads_opaque(prompt):
    return CLASH


def plain(prompt, limit=3):
    return prompt[:limit]


def closing(held):
    def inner(prompt):
        return held

    return inner


def defaulting(held):
    def inner(prompt, extra=held, *, more=held):
        return extra

    return inner


class Greeter:
    def __init__(self, name):
        self.name = name

    def greet(self, prompt):
        return self.name

    def __call__(self, prompt):
        return self.name

    @classmethod
    def of_class(cls, prompt):
        return cls.__name__


class Slotted:
    __slots__ = ("name",)

    def __init__(self, name):
        self.name = name

    def __call__(self, prompt):
        return self.name


class OtherGreeter(Greeter):
    pass


def local_class(held):
    class Inner:
        def __call__(self, prompt):
            return held

    return Inner()


def deep(held):
    def innermost():
        return held

    def inner():
        return innermost()

    return inner


FUNCTIONS = {
    "closure": closing,
    "nested closure": deep,
    "closure with a dict": lambda held: closing({"a": [held]}),
    "defaults": defaulting,
    "partial": lambda held: functools.partial(plain, limit=held),
    "partial by place": lambda held: functools.partial(plain, held),
    "bound method": lambda held: Greeter(held).greet,
    "callable object": Greeter,
    "slotted callable object": Slotted,
    "callable object of a class made inside": local_class,
    "attribute": lambda held: with_attribute(closing(1), held),
    "builtin method": lambda held: f"{held}".join,
    "itemgetter": operator.itemgetter,
    "attrgetter": lambda held: operator.attrgetter(f"a{held}"),
    "lru_cache": lambda held: functools.lru_cache(closing(held)),
    "lambda": lambda held: eval(f"lambda prompt: {held!r}"),
    "code": lambda held: eval(f"lambda prompt: prompt.a{held}"),
    "generator inside": lambda held: eval(f"lambda prompt: [x for x in {held!r}]") if held else plain,
}


@pytest.mark.parametrize("write", [canonical, canonical_field])
@pytest.mark.parametrize("kind", FUNCTIONS)
def test_functions_count_by_code_and_all_they_hold(kind, write):
    make = FUNCTIONS[kind]
    one, same, other = (write(make(held)) for held in ("x", "x", "y"))
    assert one == same != other


def test_functions_of_other_names_and_kinds_are_others():
    functions = [
        plain, reads_token, closing, Greeter.greet, Greeter.of_class, OtherGreeter.of_class, Greeter, OtherGreeter,
        len, print, str.upper, str.lower, "".join, [].append, functools.partial(plain),
        functools.partial(functools.partial(plain), 1),
        asyncio.sleep, (lambda x: x + 1), (lambda x: x + 2), (lambda x: x + 1.0), (lambda x: x + True),
    ]  # fmt: skip
    forms = {canonical(function) for function in functions}
    assert len(forms) == len(functions)


def test_globals_that_a_function_reads_count(monkeypatch):
    before = canonical(reads_token)
    monkeypatch.setitem(globals(), "TOKEN", "b")
    assert canonical(reads_token) != before
    monkeypatch.setitem(globals(), "TOKEN", "a")
    assert canonical(reads_token) == before


def test_what_is_opaque_inside_a_function_is_named():
    with pytest.raises(CacheKeyError, match=r"argument: global CLASH is a builtins\.object"):
        canonical(reads_opaque, "argument")
    with pytest.raises(CacheKeyError, match=r"argument: closure held is a builtins\.object"):
        canonical(closing(object()), "argument")
    with pytest.raises(CacheKeyError, match=r"argument\.__self__\.name is a builtins\.object"):
        canonical(Greeter(object()).greet, "argument")


def test_a_function_that_holds_itself_has_a_form():
    def countdown(number):
        return number and countdown(number - 1)

    assert canonical(countdown) == canonical(countdown)
    held = []
    held.append(held)
    with pytest.raises(CacheKeyError, match="holds itself"):
        canonical(closing(held))


def test_the_place_in_a_file_does_not_count():
    def made(lines):
        scope = {"__name__": "app"}
        exec(compile("\n" * lines + "def ask(prompt):\n    return [x for x in prompt]", f"file{lines}", "exec"), scope)
        return canonical(scope["ask"])

    assert made(0) == made(7)


# ------------------------------------------------------------------ fields that are not data


def fresh(value):
    return types.SimpleNamespace(field=value)


def local(tenant):
    made = threading.local()
    made.tenant = tenant
    return made


def variable(tenant):
    made = contextvars.ContextVar("tenant")
    made.set(tenant)
    return made


def holding_queue(tenant, make):
    made = make()
    made.put_nowait(tenant)
    return made


class Kept:
    pass


KEPT = {name: Word(name) for name in "ab"}
HOLDERS = {
    "threading.local": local,
    "its subclass": lambda tenant: with_attribute(Local(), tenant),
    "context variable": variable,
    "default of a context variable": lambda tenant: contextvars.ContextVar("tenant", default=tenant),
    "weak reference": lambda tenant: weakref.ref(KEPT[tenant]),
    "weak dict": lambda tenant: weakref.WeakValueDictionary({"tenant": KEPT[tenant]}),
    "weak keys": lambda tenant: weakref.WeakKeyDictionary({KEPT[tenant]: 1}),
    "weak set": lambda tenant: weakref.WeakSet([KEPT[tenant]]),
    "queue": lambda tenant: holding_queue(tenant, queue.Queue),
    "stack": lambda tenant: holding_queue(tenant, queue.LifoQueue),
    "asyncio queue": lambda tenant: holding_queue(tenant, asyncio.Queue),
    "logger's extra": lambda tenant: logging.LoggerAdapter(logging.getLogger("x"), {"tenant": tenant}),
    "subclass of a logger": lambda tenant: with_attribute(type("Mine", (logging.Logger,), {})("x"), tenant),
}


@pytest.mark.parametrize("kind", HOLDERS)
def test_holders_count_by_what_they_hold(kind):
    make = HOLDERS[kind]
    one, same, other = (canonical_field(make(tenant)) for tenant in ("a", "a", "b"))
    assert one == same != other


def test_a_thread_sees_its_own_local():
    shared = local("a")
    forms = [canonical_field(shared)]

    def elsewhere():
        shared.tenant = "b"
        forms.append(canonical_field(shared))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert forms[0] == canonical_field(shared) != forms[1]


class MyThread(threading.Thread):
    pass


@pytest.mark.parametrize(
    "make",
    [
        MyThread, lambda: weakref.ref(KEPT_PLAIN), lambda: weakref.WeakSet([KEPT_PLAIN]),
        lambda: with_put(queue.SimpleQueue()),
        lambda: type("Mine", (threading.Event,), {})(), io.BytesIO,
    ],
)  # fmt: skip
def test_what_may_name_a_caller_and_has_no_form_is_refused(make):
    with pytest.raises(CacheKeyError, match=r"self\.field"):
        fingerprint_instance(fresh(make()))


KEPT_PLAIN = Kept()


def with_put(made):
    made.put("tenant")
    return made


def test_a_future_is_refused():
    async def main():
        with pytest.raises(CacheKeyError, match=r"self\.field"):
            fingerprint_instance(fresh(asyncio.get_running_loop().create_future()))

    asyncio.run(main())
