"""Methods: each knows its instance, and what an instance holds is scope."""

import asyncio
import concurrent.futures
import contextlib
import contextvars
import copy
import dataclasses
import enum
import functools
import inspect
import itertools
import logging
import pickle
import queue
import sys
import threading
import typing
import warnings
import weakref
from abc import ABC, abstractmethod

import anthropic
import attrs
import httpx
import httpx2
import ollama
import openai
import pydantic
import pytest
import requests

from semantic_llm_cache import CacheKeyError, SemanticCache, cache, register_fingerprint
from semantic_llm_cache.backends import MemoryBackend
from semantic_llm_cache.exceptions import CacheWarning
from semantic_llm_cache.keys.fingerprint import _registry, fingerprint_instance


@contextlib.contextmanager
def no_warning():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    assert [str(w.message) for w in caught] == []


ran = []


@pytest.fixture(autouse=True)
def nothing_ran_yet():
    ran.clear()


class Bot:
    """Module level, so that its methods pickle."""

    def __init__(self, system="short", **more):
        self.system = system
        vars(self).update(more)

    @cache
    async def ask(self, prompt: str, model: str = "m") -> str:
        """Ask the bot."""
        ran.append((self, prompt))
        return f"{self.system}: {prompt}"

    @cache(ignore=("self",))
    def anyone(self, prompt: str) -> str:
        ran.append((self, prompt))
        return f"{len(ran)}"

    @cache
    def plain(self, prompt: str) -> str:
        ran.append((self, prompt))
        return f"{self.system}: {prompt}"

    @cache
    @classmethod
    def of_class(cls, prompt: str) -> str:
        ran.append((cls, prompt))
        return f"{cls.__name__}: {prompt}"

    @classmethod
    @cache
    def of_class_inside(cls, prompt: str) -> str:
        ran.append((cls, prompt))
        return f"{cls.__name__}: {prompt}"

    @cache
    @staticmethod
    def of_nobody(prompt: str) -> str:
        ran.append(prompt)
        return f"nobody: {prompt}"

    @staticmethod
    @cache
    def of_nobody_inside(prompt: str) -> str:
        ran.append(prompt)
        return f"nobody inside: {prompt}"

    class Inner:
        @cache
        def ask(self, prompt: str) -> str:
            ran.append(prompt)
            return "inner"


class OtherBot(Bot):
    pass


@cache
def ask(prompt: str, model: str = "m") -> str:
    """Ask."""
    return prompt.upper()


@cache
async def aask(prompt: str) -> str:
    return prompt.upper()


# ------------------------------------------------------------------------------ who shares


async def test_equal_bots_share_and_others_do_not():
    assert await Bot("short").ask("q") == await Bot("short").ask("q") == "short: q"
    assert len(ran) == 1
    assert await Bot("long").ask("q") == "long: q"
    assert await Bot("short", temperature=0.5).ask("q") == "short: q"
    assert len(ran) == 3
    assert await OtherBot("short").ask("q") == "short: q"
    assert len(ran) == 4  # another class is another bot


def test_plain_methods_too():
    for _ in range(2):
        assert [Bot(system).plain("q") for system in "ab"] == ["a: q", "b: q"]
    assert len(ran) == 2


def test_ignoring_self_shares():
    assert Bot("a").anyone("q") == Bot(object()).anyone("q") == OtherBot("b").anyone("q") == "1"


def test_two_methods_of_one_bot_do_not_share():
    bot = Bot()
    assert bot.plain("q") != bot.anyone("q")


@pytest.mark.parametrize("name", ["of_class", "of_class_inside"])
def test_classmethods(name):
    method, other = getattr(Bot, name), getattr(OtherBot, name)
    assert method("q") == getattr(Bot(), name)("q") == method(prompt="q") == "Bot: q"
    assert other("q") == "OtherBot: q"
    assert ran == [(Bot, "q"), (OtherBot, "q")]


def test_classmethods_know_their_class():
    assert Bot.of_class("q") == "Bot: q"
    assert Bot.of_class.cache_lookup("q").outcome == "exact"
    assert OtherBot.of_class.cache_lookup("q").outcome == "miss"
    assert Bot.of_class.cache_invalidate("q")


def test_under_a_classmethod_they_know_their_class_or_say_what_to_do():
    method, other = Bot.of_class_inside, OtherBot.of_class_inside
    advice = "cannot know its class.*write @cache above @classmethod"
    assert method("q") == "Bot: q"
    if sys.version_info < (3, 13):
        assert method.cache_lookup("q").outcome == "exact"
        assert other.cache_lookup("q").outcome == "miss"
        assert method.cache_invalidate("q")
    else:  # a classmethod no longer asks what it wraps
        for bound, ask in itertools.product((method, other, Bot().of_class_inside), ("lookup", "invalidate")):
            with pytest.raises(TypeError, match=f"cache_{ask}.. {advice}"):
                getattr(bound, f"cache_{ask}")("q")
    inside = vars(Bot)["of_class_inside"].__func__  # what one gets from 3.13 on
    with pytest.raises(TypeError, match=advice):
        inside.cache_lookup("q")
    assert inside.cache_lookup(OtherBot, "q").outcome == "miss"
    assert method.cache_info().hits + method.cache_info().misses == 1


@pytest.mark.parametrize("name", ["of_nobody", "of_nobody_inside"])
def test_staticmethods(name):
    answers = {getattr(owner, name)("q") for owner in (Bot, Bot(), OtherBot, OtherBot("x"))}
    assert len(answers) == 1
    assert len(ran) == 1
    assert getattr(Bot, name).cache_lookup("q").hit
    assert getattr(Bot(), name).cache_invalidate("q")
    assert not getattr(Bot, name).cache_lookup("q").hit


def test_inheritance_and_super():
    class Base:
        @cache
        def ask(self, prompt):
            return f"base {prompt}"

        @cache
        @classmethod
        def make(cls, prompt):
            return f"base {cls.__name__}"

    class Sub(Base):
        @cache
        def ask(self, prompt):
            return "sub " + super().ask(prompt)

        @classmethod
        def make(cls, prompt):
            return "sub " + super().make(prompt)

    for _ in range(2):
        assert Sub().ask("q") == "sub base q"
        assert Base().ask("q") == "base q"
        assert Sub.make("q") == "sub base Sub"


def test_abstract_methods_stay_abstract():
    class Base(ABC):
        @abstractmethod
        @cache
        def ask(self, prompt): ...

    with pytest.raises(TypeError, match="abstract"):
        Base()


def test_first_parameter_by_another_name():
    class Odd:
        def __init__(self, name):
            self.name = name

        @cache
        def ask(this, prompt):
            return this.name

    assert [Odd(name).ask("q") for name in "aba"] == ["a", "b", "a"]
    assert Odd("b").ask.cache_lookup("q").hit
    assert not Odd("c").ask.cache_lookup("q").hit


def test_methods_set_on_a_class_afterwards():
    class Late:
        def __init__(self, name):
            self.name = name

        def ask(self, prompt):
            return self.name

    Late.ask = cache(Late.ask)
    assert [Late(name).ask("q") for name in "aba"] == ["a", "b", "a"]
    assert Late("a").ask.cache_lookup("q").hit


# -------------------------------------------------------------------------- what they look like


async def test_controls_know_their_bot():
    one, two = Bot("one"), Bot("two")
    await one.ask("q")
    assert (await one.ask.cache_lookup("q")).outcome == "exact"
    assert (await two.ask.cache_lookup("q")).outcome == "miss"
    assert (await Bot.ask.cache_lookup(one, "q")).outcome == "exact"
    assert await two.ask.cache_invalidate("q") is False
    assert await one.ask.cache_invalidate("q") is True
    assert (await one.ask.cache_lookup("q")).outcome == "miss"
    await one.ask("q")
    await two.ask("q")
    assert one.ask.cache_info() == Bot.ask.cache_info()
    assert await one.ask.cache_clear() == 2
    assert len(ran) == 3


def test_they_look_like_what_they_wrap():
    bot = Bot()
    for method in (Bot.ask, bot.ask):
        assert inspect.iscoroutinefunction(method)
        assert inspect.iscoroutinefunction(functools.partial(method, model="l"))
        assert method.__name__ == "ask"
        assert method.__qualname__ == "Bot.ask"
        assert method.__module__ == __name__
        assert method.__doc__ == "Ask the bot."
        assert inspect.getdoc(method) == "Ask the bot."
        assert typing.get_type_hints(method) == {"prompt": str, "model": str, "return": str}
        assert "ran.append" in inspect.getsource(method)
        assert inspect.isroutine(method)
        assert inspect.isfunction(method.__wrapped__)
    for method in (Bot.plain, bot.plain, Bot.of_class, ask):
        assert not inspect.iscoroutinefunction(method)
    assert inspect.iscoroutinefunction(aask)
    assert inspect.isfunction(Bot.ask)
    assert inspect.ismethod(bot.ask)
    assert str(inspect.signature(bot.ask)) == "(prompt: str, model: str = 'm') -> str"
    assert str(inspect.signature(Bot.ask)) == "(self, prompt: str, model: str = 'm') -> str"
    assert str(inspect.signature(Bot.of_class)) == "(prompt: str) -> str"
    assert str(inspect.signature(Bot.of_nobody)) == "(prompt: str) -> str"
    assert str(inspect.signature(ask)) == "(prompt: str, model: str = 'm') -> str"
    assert ask.__doc__ == "Ask."
    assert asyncio.iscoroutinefunction(bot.ask) if sys.version_info < (3, 14) else True


async def test_wrapped_is_the_function_as_written():
    bot = Bot()
    assert await Bot.ask.__wrapped__(bot, "q") == "short: q"
    assert await bot.ask.__wrapped__(bot, "q") == "short: q"
    assert not (await bot.ask.cache_lookup("q")).hit


def test_bound_methods_compare_like_bound_methods():
    bot = Bot()
    assert bot.ask == bot.ask
    assert hash(bot.ask) == hash(bot.ask)
    assert bot.ask != Bot().ask
    assert bot.ask != bot.plain
    assert bot.ask.__self__ is bot
    assert "Bot.ask" in repr(bot.ask)


def test_a_bot_is_not_kept_alive():
    bot = Bot()
    bot.plain("q")
    gone = weakref.ref(bot)
    ran.clear()
    del bot
    assert gone() is None


@pytest.mark.parametrize(
    "function",
    [ask, aask, Bot.ask, Bot.plain, Bot.of_class, Bot.of_nobody, Bot.of_nobody_inside, Bot.Inner.ask],
    ids=lambda function: function.__qualname__,
)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_by_name(function, protocol):
    back = pickle.loads(pickle.dumps(function, protocol))
    assert back == function
    assert back.__wrapped__ is function.__wrapped__
    assert copy.deepcopy(function) == function


async def test_bound_methods_pickle_with_their_bot():
    back = pickle.loads(pickle.dumps(Bot("long").ask))
    assert await back("q") == "long: q"
    assert pickle.loads(pickle.dumps(Bot("x").of_nobody_inside))("q") == "nobody inside: q"


# --------------------------------------------------------------------- kinds of instances


@dataclasses.dataclass
class DataBot:
    system: str
    options: dict = dataclasses.field(default_factory=dict)
    ask = cache(lambda self, prompt: f"{self.system} {self.options}")


@dataclasses.dataclass(frozen=True, slots=True)
class FrozenBot:
    system: str
    options: tuple = ()

    @cache
    def ask(self, prompt):
        return f"{self.system} {self.options}"


class PydanticBot(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    system: str
    _secret: str = pydantic.PrivateAttr("")

    @cache
    def ask(self, prompt: str) -> str:
        return f"{self.system} {self.model_extra} {self._secret}"

    @cache
    async def aask(self, prompt: str) -> str:
        return self.system

    @cache
    @classmethod
    def make(cls, prompt: str) -> str:
        return cls.__name__


@attrs.define
class AttrsBot:
    system: str
    _depth: int = 1

    @cache
    def ask(self, prompt):
        return f"{self.system} {self._depth}"


class SlotBot:
    __slots__ = ("__private", "system")

    def __init__(self, system, private=0):
        self.system, self.__private = system, private

    @cache
    def ask(self, prompt):
        return f"{self.system} {self.__private}"


class HalfSlotBot(SlotBot):
    """Slots below, a dict above."""


class EnumBot(enum.Enum):
    SHORT = "short"
    LONG = "long"

    @cache
    def ask(self, prompt):
        return self.value


class DictBot(dict):
    @cache
    def ask(self, prompt):
        return str(dict(self))


class TupleBot(typing.NamedTuple):
    system: str

    @cache
    def ask(self, prompt):
        return self.system


def private(bot, value):
    bot._secret = value
    return bot


@pytest.mark.parametrize(
    "make",
    [
        lambda: [DataBot("a"), DataBot("b"), DataBot("a", {"t": 1})],
        lambda: [FrozenBot("a"), FrozenBot("b"), FrozenBot("a", (1,))],
        lambda: [
            PydanticBot(system="a"), PydanticBot(system="b"), PydanticBot(system="a", t=1),
            private(PydanticBot(system="a"), "x"), private(PydanticBot(system="a"), "y"),
        ],
        lambda: [AttrsBot("a"), AttrsBot("b"), AttrsBot("a", 2)],
        lambda: [SlotBot("a"), SlotBot("b"), SlotBot("a", 2)],
        lambda: [HalfSlotBot("a"), HalfSlotBot("b"), HalfSlotBot("a", 2)],
        lambda: [*EnumBot],
        lambda: [DictBot(a=1), DictBot(a=2), DictBot()],
        lambda: [TupleBot("a"), TupleBot("b")],
    ],
)  # fmt: skip
def test_what_an_instance_holds_is_scope(make):
    answers = [bot.ask("q") for bot in make()]
    assert len(set(answers)) == len(answers)
    again = make()
    with no_warning():
        assert [bot.ask("q") for bot in again] == answers
        assert [bot.ask("q") for bot in again] == answers
    assert all(bot.ask.cache_lookup("q").hit for bot in again)


async def test_pydantic_bots():
    assert set(PydanticBot.model_fields) == {"system"}
    assert inspect.iscoroutinefunction(PydanticBot(system="a").aask)
    assert await PydanticBot(system="a").aask("q") == "a"
    assert await PydanticBot(system="b").aask("q") == "b"
    assert PydanticBot.make("q") == "PydanticBot"
    assert PydanticBot(system="a") == PydanticBot(system="a")
    # A default given or not is the same bot.
    one, other = PydanticBot(system="a"), PydanticBot.model_construct(system="a", _fields_set=set())
    assert fingerprint_instance(one) == fingerprint_instance(other)


class ScopedBot:
    def __init__(self, tenant):
        self.tenant, self.calls, self.client = tenant, 0, object()

    def __cache_scope__(self):
        return {"tenant": self.tenant}

    @cache
    def ask(self, prompt):
        self.calls += 1
        return self.tenant


def test_cache_scope_says_what_counts():
    one, two = ScopedBot("a"), ScopedBot("a")
    with no_warning():
        assert one.ask("q") == two.ask("q") == "a"
        assert one.ask("r") == one.ask("q") == "a"
    assert (one.calls, two.calls) == (2, 0)
    assert ScopedBot("b").ask("q") == "b"


@pytest.fixture
def registry():
    before = dict(_registry)
    yield
    _registry.clear()
    _registry.update(before)


def test_registered_types_as_self_and_as_fields(registry):
    class Pool:
        def __init__(self, size, name="p"):
            self.size, self.name = size, name

        @cache
        def ask(self, prompt):
            return f"{self.size}"

    register_fingerprint(Pool, lambda pool: pool.name)
    assert Pool(1).ask("q") == Pool(2).ask("q") == "1"
    assert Pool(3, "other").ask("q") == "3"
    assert Bot(pool=Pool(1)).plain("q") == Bot(pool=Pool(9)).plain("q")
    assert len(ran) == 1
    register_fingerprint(Pool, None)
    assert Bot(pool=Pool(1, "x")).plain("r") == Bot(pool=Pool(9, "y")).plain("r")
    assert len(ran) == 2


# ------------------------------------------------------------------ fields that do not count


@pytest.mark.parametrize(
    "make",
    [
        threading.Lock, threading.RLock, threading.Event, threading.Condition, threading.local,
        lambda: threading.Semaphore(2), asyncio.Lock, lambda: asyncio.Semaphore(3), asyncio.Event, asyncio.Queue,
        queue.Queue, queue.SimpleQueue, lambda: logging.getLogger("semantic"),
        lambda: logging.LoggerAdapter(logging.getLogger("semantic"), {}),
        lambda: concurrent.futures.ThreadPoolExecutor(1), lambda: contextvars.ContextVar("x"),
        weakref.WeakValueDictionary, lambda: SemanticCache("memory://"), MemoryBackend,
    ],
)  # fmt: skip
def test_locks_loggers_and_the_like_do_not_count(make):
    assert Bot(field=make()).plain("q") == Bot(field=make()).plain("q")
    assert len(ran) == 1
    with no_warning():
        Bot(field=make(), deep={"a": [make()]}).plain("q")


def test_a_cached_property_worked_out_changes_nothing():
    class Lazy(Bot):
        @functools.cached_property
        def client(self):
            return object()

    bot = Lazy()
    with no_warning():
        assert bot.plain("q") == "short: q"
        bot.client
        assert bot.plain("q") == "short: q"
    assert len(ran) == 1


CLIENTS = {
    "openai": lambda url, key: openai.OpenAI(base_url=url, api_key=key),
    "async openai": lambda url, key: openai.AsyncOpenAI(base_url=url, api_key=key),
    "openai resource": lambda url, key: openai.OpenAI(base_url=url, api_key=key).chat.completions,
    "anthropic": lambda url, key: anthropic.Anthropic(base_url=url, api_key=key),
    "async anthropic": lambda url, key: anthropic.AsyncAnthropic(base_url=url, api_key=key),
    "anthropic resource": lambda url, key: anthropic.Anthropic(base_url=url, api_key=key).messages,
    "ollama": lambda url, key: ollama.Client(host=url, headers={"Authorization": key}),
    "async ollama": lambda url, key: ollama.AsyncClient(host=url, headers={"Authorization": key}),
    "httpx": lambda url, key: httpx.Client(base_url=url, headers={"x-api-key": key}),
    "httpx auth": lambda url, key: httpx.Client(base_url=url, auth=("user", key)),
    "httpx params": lambda url, key: httpx.AsyncClient(base_url=url, params={"key": key}),
    "httpx2": lambda url, key: httpx2.AsyncClient(base_url=url, headers={"Authorization": key}),
    "tenant header": lambda url, key: openai.OpenAI(base_url=url, api_key="k", default_headers={"X-Tenant": key}),
}


@pytest.mark.parametrize("kind", CLIENTS)
def test_clients_count_by_address_and_credential(kind):
    make = CLIENTS[kind]
    places = [
        ("http://one.test/v1", "secret-a"),
        ("http://one.test/v1", "secret-b"),
        ("http://two.test/v1", "secret-a"),
    ]
    forms = [fingerprint_instance(Bot(client=make(*place))) for place in places]
    assert len(set(forms)) == 3
    assert forms == [fingerprint_instance(Bot(client=make(*place))) for place in places]
    assert not any(b"secret" in form for form in forms)
    for place in (*places, *places):
        Bot(client=make(*place)).plain("q")
    assert len(ran) == 3


def test_requests_sessions_count_by_credential():
    def session(key):
        made = requests.Session()
        made.auth = ("user", key)
        return made

    assert fingerprint_instance(Bot(s=session("a"))) == fingerprint_instance(Bot(s=session("a")))
    assert fingerprint_instance(Bot(s=session("a"))) != fingerprint_instance(Bot(s=session("b")))


def test_methods_of_clients_can_be_cached():
    asked = []

    class Server:
        def __cache_scope__(self):
            return "the one server"

        def __call__(self, request):
            asked.append(request)
            body = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": []}
            return httpx2.Response(200, json=body)

    def completions(key):
        http = httpx2.Client(transport=httpx2.MockTransport(Server()))
        return openai.OpenAI(base_url="http://one.test", api_key=key, http_client=http).chat.completions

    asks = [cache(result_type=openai.types.chat.ChatCompletion)(completions(key).create) for key in ("a", "a", "b")]
    turn = [{"role": "user", "content": "q"}]
    with no_warning():
        replies = [ask(messages=turn, model="m") for ask in asks]
    assert len(asked) == 2
    assert replies[1].to_dict() == replies[0].to_dict()


# ---------------------------------------------------------------------------- what is refused


class Opaque:
    pass


OPAQUE = Opaque()


def closing_over(held):
    return lambda: held


@pytest.mark.parametrize(
    ("bot", "field"),
    [
        (Bot(helper=Opaque()), r"self\.helper is a .*Opaque"),
        (Bot(helpers=[1, Opaque()]), r"self\.helpers\[1\] is a .*Opaque"),
        (Bot(callback=lambda: OPAQUE), r"self\.callback: global OPAQUE is a .*Opaque"),
        (Bot(callback=closing_over(Opaque())), r"self\.callback: closure held is a .*Opaque"),
        (Bot(options={"x": Opaque()}), r"self\.options\['x'\] is a .*Opaque"),
    ],
)
def test_a_field_without_a_form_is_named_with_the_ways_out(bot, field):
    with pytest.raises(CacheKeyError, match=field) as caught:
        bot.plain("q")
    message = str(caught.value)
    assert "__cache_scope__" in message
    assert 'ignore=("self",)' in message
    assert ran == []


# -------------------------------------------------------------------------------- counters


class Counting:
    def __init__(self, more=None):
        self.calls = 0
        if more is not None:
            self.more = more

    @cache
    def ask(self, prompt):
        self.calls += 1
        return prompt.upper()


@pytest.mark.parametrize("more", [None, [1]])
def test_a_counter_as_a_field_warns_once_and_still_answers(more):
    Counting.ask.controls.binder._warned_instance = False
    bot = Counting(more)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert [bot.ask("q") for _ in range(4)] == ["Q"] * 4
    assert [w.category for w in caught] == [CacheWarning]
    message = str(caught[0].message)
    for words in ("Counting", "changed between calls", "__cache_scope__", 'ignore=("self",)'):
        assert words in message
    assert caught[0].filename == __file__


def test_the_warning_as_an_error_costs_nobody_the_answer(caplog):
    Counting.ask.controls.binder._warned_instance = False
    bot = Counting()
    assert [bot.ask("as an error") for _ in range(3)] == ["AS AN ERROR"] * 3
    assert "changed between calls" in caplog.text
