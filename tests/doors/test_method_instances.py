"""Methods: what an instance holds is scope."""

import asyncio
import concurrent.futures
import contextvars
import dataclasses
import enum
import functools
import inspect
import logging
import queue
import threading
import typing
import warnings
import weakref

import anthropic
import attrs
import httpx
import httpx2
import ollama
import openai
import pydantic
import pytest
import requests
from warning_helpers import no_warning

from semantic_llm_cache import CacheKeyError, SemanticCache, cache, register_fingerprint
from semantic_llm_cache.backends import MemoryBackend
from semantic_llm_cache.exceptions import CacheWarning
from semantic_llm_cache.keys.fingerprint import _registry, fingerprint_instance

ran = []


@pytest.fixture(autouse=True)
def nothing_ran_yet():
    ran.clear()


class Bot:
    def __init__(self, system="short", **more):
        self.system = system
        vars(self).update(more)

    @cache
    def plain(self, prompt: str) -> str:
        ran.append((self, prompt))
        return f"{self.system}: {prompt}"


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
