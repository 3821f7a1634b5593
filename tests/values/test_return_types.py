"""Answers of annotated functions come back as the same type, and the warning about others says what to do."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import functools
import ipaddress
import pathlib
import re
import typing
import warnings
from typing import Annotated, Any, Generic, Literal, NewType, Optional, TypeVar, Union

import pydantic
import pytest
import typing_extensions as te
from pydantic import BaseModel, Field, RootModel

from semantic_llm_cache import cache, last_lookup
from semantic_llm_cache.exceptions import CacheSerializationError, CacheWarning
from semantic_llm_cache.values.annotations import names_in
from semantic_llm_cache.values.encoding import dumps, loads, same
from semantic_llm_cache.values.rebuilding import rebuild

T = TypeVar("T")


class Color(enum.Enum):
    RED = "r"


class City(BaseModel):
    name: str
    rank: int = 0


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    home: City


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    home: City


class Box(BaseModel, Generic[T]):
    item: T
    more: list[T] = []


class Tree(BaseModel, Generic[T]):
    value: T
    children: list[Tree[T]] = []


class Names(RootModel[list[str]]):
    pass


class Loose(BaseModel):
    held: Any
    color: Color = Color.RED


class Site(BaseModel):
    url: pydantic.HttpUrl
    at: City | None = None


class Trip(te.TypedDict):
    to: City
    back: te.NotRequired[City]


class Wide(te.TypedDict, Generic[T]):
    one: te.Required[te.ReadOnly[T]]


@dataclasses.dataclass
class Pair(Generic[T]):
    one: T
    other: Optional[T] = None  # noqa: UP045


@dataclasses.dataclass
class CityPair(Pair[City]):
    note: str = ""


Pet = Annotated[Union[Cat, Dog], Field(discriminator="kind")]  # noqa: UP007
Town = NewType("Town", City)
Cities = te.TypeAliasType("Cities", "list[City]")
ByName = te.TypeAliasType("ByName", dict[str, T], type_params=(T,))
Json = te.TypeAliasType("Json", "dict[str, Json] | list[Json] | City | str | None")

paris, cat, dog = City(name="Paris"), Cat(home=City(name="Rome", rank=2)), Dog(home=City(name="Oslo"))

VALUES = [
    (Names(["a"]), Names),
    (RootModel[dict[str, City]]({"a": paris}), RootModel[dict[str, City]]),
    (RootModel[Pet](cat), RootModel[Pet]),
    (dog, Pet),
    ([dog, cat], list[Pet]),
    (Box[City](item=paris, more=[paris]), Box[City]),
    (Box(item=paris), Box[City]),
    (Box[Box[City]](item=Box[City](item=paris)), Box[Box[City]]),
    ({"a": Box[City](item=paris)}, dict[str, Box[int] | Box[City]]),
    (Tree[City](value=paris, children=[Tree[City](value=paris)]), Tree[City]),
    (Loose(held=paris), Loose | City),
    (Loose(held={"deep": [dog]}), Union[Loose, Dog]),  # noqa: UP007
    (Site(url="https://example.com/a?b=c", at=paris), Site),
    (pydantic.HttpUrl("https://example.com"), pydantic.HttpUrl),
    ([pathlib.Path("a/b"), pathlib.PureWindowsPath("c:/d")], list[pathlib.PurePath]),
    ([ipaddress.ip_address("::1"), ipaddress.ip_network("10.0.0.0/8")], list),
    ({"to": paris}, Trip),
    ({"to": paris, "back": paris}, list[Trip] | Trip),
    ({"one": paris}, Wide[City]),
    (Pair(paris, None), Pair[City]),
    (CityPair(paris, paris, "x"), CityPair),
    (paris, Town),
    ([paris], Cities),
    ({"a": paris}, ByName[City]),
    ({"a": [paris, {"b": None}]}, Json),
    (Color.RED, Literal[Color.RED]),
    (paris, TypeVar("Bound", bound=City)),
    (paris, TypeVar("Either", Cat, City)),
    ((1, paris, dog), tuple[int, te.Unpack[tuple[Pet | City, ...]]]),
    ((), tuple[City, ...]),
    ([paris], typing.Collection["City"]),
    ({"a": [paris]}, pydantic.TypeAdapter(dict[str, list[City]])),
]


@pytest.mark.parametrize(("value", "target"), VALUES, ids=map(str, range(len(VALUES))))
def test_answers_come_back_as_the_same_type(value, target):
    ran = []

    def ask(prompt):
        ran.append(prompt)
        return value

    ask.__annotations__["return"] = target
    cached = cache(ask)
    cached("q")
    back = cached("q")
    assert ran == ["q"]
    assert same(back, value)
    assert back == value
    assert type(back) is type(value)
    if isinstance(value, BaseModel):
        assert back.model_fields_set == value.model_fields_set
        assert back.model_dump() == value.model_dump()


def test_parsed_completions_of_the_openai_sdk():
    from openai.lib._parsing._completions import parse_chat_completion
    from openai.lib._parsing._responses import parse_response
    from openai.types.chat import ChatCompletion, ParsedChatCompletion
    from openai.types.responses import ParsedResponse, Response

    text = '{"name": "Paris"}'
    message = {"role": "assistant", "content": text}
    choices = [{"index": 0, "finish_reason": "stop", "message": message}]
    plain = ChatCompletion.model_validate(
        {"id": "1", "created": 1, "model": "m", "object": "chat.completion", "choices": choices}
    )
    parts = [{"type": "output_text", "text": text, "annotations": []}]
    output = [{"type": "message", "id": "2", "role": "assistant", "status": "completed", "content": parts}]
    response = Response.model_validate({
        "id": "1", "created_at": 1, "model": "m", "object": "response", "status": "completed", "output": output,
        "parallel_tool_calls": False, "tool_choice": "auto", "tools": [],
    })  # fmt: skip

    @cache
    def chat(prompt: str) -> ParsedChatCompletion[City]:
        return parse_chat_completion(response_format=City, input_tools=[], chat_completion=plain)

    @cache
    def respond(prompt: str) -> ParsedResponse[City]:
        return parse_response(text_format=City, input_tools=[], response=response)

    for ask in (chat, respond):
        first, second = ask("q"), ask("q")
        assert last_lookup().outcome == "exact"
        assert same(first, second)
    assert chat("q").choices[0].message.parsed == paris
    assert type(respond("q").output_parsed) is City


def test_another_parametrisation_is_another_type():
    """After a change of the annotation, the old answers miss; they are not taken for the new type."""
    stored = loads(dumps(Box[Cat](item=cat)))
    assert rebuild(stored, Box[Cat]) == Box[Cat](item=cat)
    for target in (Box[City], Box[Dog], City, dict[str, City]):
        with pytest.raises(CacheSerializationError):
            rebuild(stored, target)
    with pytest.raises(CacheSerializationError):
        rebuild(loads(dumps(Pair(cat))), Pair[City])


def test_only_named_classes_are_rebuilt_where_the_type_is_open():
    with pytest.raises(CacheSerializationError, match=r"City cannot be rebuilt as typing\.Any"):
        rebuild(loads(dumps(Loose(held=paris))), Loose)


@cache
def later(prompt: str) -> list[Later]:
    return [Later(1)]


@cache
def chunks_of_later(prompt: str) -> typing.Iterator[Later]:
    yield Later(2)


@dataclasses.dataclass
class Later:
    count: int


def test_a_class_that_is_defined_after_the_function():
    for _ in range(2):
        assert later("q") == [Later(1)]
        assert list(chunks_of_later("q")) == [Later(2)]
        assert last_lookup().outcome == ("exact" if _ else "miss")


def test_local_classes_whose_fields_name_local_classes():
    @dataclasses.dataclass
    class Inner:
        n: int

    @dataclasses.dataclass
    class Outer:
        inner: Inner
        more: list[Inner]

    @cache
    def ask(prompt: str) -> dict[str, Outer]:
        return {"a": Outer(Inner(1), [Inner(2)])}

    assert ask("q") == ask("q")
    assert last_lookup().outcome == "exact"


def test_names_in_annotations():
    assert names_in("a.B[int] | None") == {"a", "B", "int"}
    assert names_in(list["X | 'Y'"]) == {"X", "Y"}  # noqa: F821
    assert names_in("not python (") == names_in(3) == set()


# ------------------------------------------------------------------------------- what the warning says


def caught_by(function, *args):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            function(*args)
    assert [one.category for one in caught] == [CacheWarning]
    return caught[0]


def unannotated(prompt):
    return paris


def too_narrow(prompt: str) -> Loose:
    return Loose(held=paris)


def unknown(prompt: str) -> OnlyForCheckers:  # noqa: F821
    return paris


@pytest.mark.parametrize(
    ("function", "options", "advice"),
    [
        (unannotated, {}, "annotate the function's return type or pass result_type="),
        (too_narrow, {}, r"annotation of too_narrow does not name .*\.City: add it, such as result_type=Loose \| City"),
        (unannotated, {"result_type": Cat}, r"result_type= does not name .*\.City: add it, such as .*Cat \| City"),
        (unannotated, {"result_type": dict[str, Cat]}, "result_type= does not name .*: add it, in a union with City"),
        (unknown, {}, r"annotation of unknown \('OnlyForCheckers'\) names something that does not exist at run time"),
    ],
)
def test_the_advice_depends_on_what_was_done(function, options, advice):
    warning = caught_by(cache(**options)(function), "q")
    assert warning.filename == __file__
    assert warning.lineno == function.__code__.co_firstlineno
    assert re.search(advice, str(warning.message)), str(warning.message)


def test_following_the_advice_helps():
    cached = cache(result_type=Loose | City)(too_narrow)
    assert cached("q") == cached("q")
    assert last_lookup().outcome == "exact"


def test_each_function_of_an_engine_gets_its_own_warning():
    from semantic_llm_cache import SemanticCache

    engine = SemanticCache("memory://")
    for function in (unannotated, too_narrow):
        assert caught_by(engine.cache(function), "q").lineno == function.__code__.co_firstlineno


async def test_a_warning_without_a_function_points_at_the_caller():
    from semantic_llm_cache import SemanticCache
    from semantic_llm_cache.keys.request import Request

    engine = SemanticCache("memory://")
    with pytest.warns(CacheWarning, match="pass result_type=") as caught:
        assert not await engine.store(Request("d", "s", "q"), paris)
    assert caught[0].filename == __file__


def test_a_stream_gets_the_same_advice():
    @cache
    def ask(prompt: str):
        yield paris

    assert "annotate" in str(caught_by(lambda: list(ask("q"))).message)


# ------------------------------------------------------------------------------- functions that return awaitables


async def find(prompt: str) -> City:
    return City(name=prompt)


class Finder:
    def __cache_scope__(self):
        return "finder"

    async def __call__(self, prompt: str) -> City:
        return City(name=prompt)


class Streamer:
    def __cache_scope__(self):
        return "streamer"

    async def __call__(self, prompt: str) -> typing.AsyncIterator[City]:
        yield City(name=prompt)


def promised(prompt: str) -> typing.Awaitable[City]:
    return find(prompt)


def started(prompt: str) -> typing.Coroutine[Any, Any, City]:
    return find(prompt)


def bare(prompt: str) -> typing.Awaitable:
    return asyncio.sleep(0, prompt)


@pytest.mark.parametrize(
    "function",
    [find, functools.partial(find), Finder(), functools.partial(Finder()), Finder().__call__, promised, started, bare],
    ids=["async", "partial", "object", "partial object", "bound", "awaitable", "coroutine", "bare"],
)
async def test_what_surely_returns_an_awaitable_is_cached_as_async(function):
    cached = cache(function)
    assert await cached("Rome") == await cached("Rome")
    assert last_lookup().outcome == "exact"


async def test_an_object_whose_call_is_an_async_generator():
    cached = cache(Streamer())
    for _ in range(2):
        assert [one async for one in cached("Rome")] == [City(name="Rome")]
    assert last_lookup().outcome == "exact"


async def test_a_plain_function_that_returns_a_coroutine_is_told_to_be_async():
    cached = cache(lambda prompt: find(prompt))
    with pytest.warns(
        CacheWarning, match=r"make it `async def`, or annotate it as returning Awaitable\[...\]"
    ) as caught:
        assert await cached("Rome") == City(name="Rome")
    assert caught[0].filename == __file__


def test_a_plain_function_that_returns_an_iterator_is_told_to_yield():
    cached = cache(lambda prompt: iter([prompt]))
    assert "make the function itself a generator" in str(caught_by(lambda: list(cached("q"))).message)
