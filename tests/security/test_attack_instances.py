"""Instances that hide whom they serve: the caller's name is anywhere but in a plain field."""

import contextvars
import enum
import functools
import gc
import importlib
import pathlib
import sys
import threading
import types
import weakref
from dataclasses import dataclass

import attrs
import httpx
import pydantic
import pytest
from attack_tools import apart, model, shared, told

from semantic_llm_cache import SemanticCache, cache, register_fingerprint

# An instance that changes between calls earns a warning, which is not what is asked here.
pytestmark = pytest.mark.filterwarnings("ignore:.*has changed between calls")

BOTS = {}


def bot(make):
    """Register a function from a tenant to a call."""
    BOTS[make.__name__.replace("_", " ")] = make
    return make


class Asking:
    @cache
    def ask(self, prompt):
        return model()


# ---------------------------------------------------------------- where state can hide


@bot
def dict_hidden_by_a_property(tenant):
    class Bot(Asking):
        __dict__ = property(lambda self: {})

    made = Bot()
    made.tenant = tenant
    return lambda: made.ask("q")


@bot
def fields_hidden_by_getattribute(tenant):
    class Bot(Asking):
        def __getattribute__(self, name):
            return {} if name == "__dict__" else object.__getattribute__(self, name)

    made = Bot()
    object.__setattr__(made, "tenant", tenant)
    return lambda: made.ask("q")


@bot
def class_hidden_by_a_property(tenant):
    class Bot(Asking):
        __class__ = property(lambda self: str)

        def __init__(self):
            self.tenant = tenant

    return lambda: Bot().ask("q")


@bot
def slot_below_a_property(tenant):
    class Base(Asking):
        __slots__ = ("tenant",)

    class Bot(Base):
        __slots__ = ()
        tenant = property(lambda self: "the same")

    made = Bot()
    Base.__dict__["tenant"].__set__(made, tenant)
    return lambda: made.ask("q")


@bot
def slots_of_two_classes_of_one_name(tenant):
    class Bot(Asking):
        __slots__ = ("__tenant",)

    first = Bot

    class Bot(first):
        __slots__ = ("__tenant",)

    made = Bot()
    first.__dict__["_Bot__tenant"].__set__(made, tenant)
    Bot.__dict__["_Bot__tenant"].__set__(made, "the same")
    return lambda: made.ask("q")


@bot
def slots_of_two_classes_the_other_way(tenant):
    class Bot(Asking):
        __slots__ = ("tenant",)

    first = Bot

    class Bot(first):
        __slots__ = ("tenant",)

    made = Bot()
    first.__dict__["tenant"].__set__(made, tenant)
    Bot.__dict__["tenant"].__set__(made, "the same")
    return lambda: made.ask("q")


@bot
def slots_named_by_an_iterator(tenant):
    class Bot(Asking):
        __slots__ = iter(("tenant",))

    made = Bot()
    made.tenant = tenant
    return lambda: made.ask("q")


@bot
def slots_whose_list_was_changed(tenant):
    class Bot(Asking):
        __slots__ = ["tenant"]

    Bot.__slots__.clear()
    made = Bot()
    made.tenant = tenant
    return lambda: made.ask("q")


@bot
def slots_named_by_one_string(tenant):
    class Bot(Asking):
        __slots__ = "tenant"

    made = Bot()
    made.tenant = tenant
    return lambda: made.ask("q")


@bot
def private_slot_of_a_base(tenant):
    class _Base(Asking):
        __slots__ = ("__tenant",)

        def __init__(self):
            self.__tenant = tenant

    class Bot(_Base):
        __slots__ = ()

    return lambda: Bot().ask("q")


@bot
def value_over_a_cached_property(tenant):
    class Bot(Asking):
        @functools.cached_property
        def tenant(self):
            return "nobody"

    made = Bot()
    made.tenant = tenant
    return lambda: made.ask("q")


@bot
def worked_out_by_a_cached_property(tenant):
    TENANT["now"] = tenant

    class Bot(Asking):
        @functools.cached_property
        def tenant(self):
            return TENANT["now"]

    made = Bot()
    assert made.tenant == tenant
    return lambda: made.ask("q")


TENANT = {}


@bot
def attribute_of_a_made_class(tenant):
    class Bot(Asking):
        system = f"You serve {tenant}."

    return lambda: Bot().ask("q")


@bot
def method_of_a_made_class(tenant):
    class Bot(Asking):
        def system(self):
            return f"You serve {tenant}."

    return lambda: Bot().ask("q")


@bot
def closure_of_the_cached_method(tenant):
    class Bot:
        @cache
        def ask(self, prompt):
            return tenant and model()

    return lambda: Bot().ask("q")


@bot
def class_method_of_a_made_class(tenant):
    class Bot:
        system = f"You serve {tenant}."

        @cache
        @classmethod
        def ask(cls, prompt):
            return model()

    return lambda: Bot.ask("q")


@bot
def class_method_under_classmethod(tenant):
    class Bot:
        system = f"You serve {tenant}."

        @classmethod
        @cache
        def ask(cls, prompt):
            return model()

    return lambda: Bot.ask("q")


@bot
def static_method_of_a_made_class(tenant):
    class Bot:
        @cache
        @staticmethod
        def ask(prompt):
            return tenant and model()

    return lambda: Bot.ask("q")


@bot
def keys_of_fields_that_lie(tenant):
    class Name(str):
        def __eq__(self, other):
            return True

        def __hash__(self):
            return 1

        def __str__(self):
            return "name"

        def encode(self, *_):
            return b"name"

    made = Asking()
    made.__dict__[Name(tenant)] = 1
    return lambda: made.ask("q")


@bot
def field_that_is_no_identifier(tenant):
    made = Asking()
    made.__dict__["__weakref__"] = tenant
    return lambda: made.ask("q")


@bot
def field_with_a_dunder_name(tenant):
    made = Asking()
    made.__dict__["__dict__"] = tenant
    return lambda: made.ask("q")


@bot
def slot_with_a_dunder_name(tenant):
    class Bot(Asking):
        __slots__ = ("__tenant__",)

    made = Bot()
    made.__tenant__ = tenant
    return lambda: made.ask("q")


@bot
def weakly_held_tenant(tenant):
    target = ALIVE.setdefault(tenant, attrs.make_class("Tenant", ["name"])(tenant))

    class Bot(Asking):
        def __init__(self):
            self.tenant = weakref.ref(target)

    return lambda: Bot().ask("q")


ALIVE = {}


@bot
def weakly_keyed_tenants(tenant):
    class Bot(Asking):
        names = weakref.WeakKeyDictionary()

        def __init__(self):
            self.names = weakref.WeakKeyDictionary({self: tenant})

    return lambda: Bot().ask("q")


@bot
def context_variable(tenant):
    def call():
        CONTEXT_VARIABLE.set(tenant)
        return Contextual(CONTEXT_VARIABLE).ask("q")

    return lambda: contextvars.copy_context().run(call)


CONTEXT_VARIABLE = contextvars.ContextVar("tenant")


class Contextual(Asking):
    def __init__(self, variable):
        self.variable = variable


@bot
def local_of_a_thread(tenant):
    made = threading.local()
    made.tenant = tenant

    class Bot(Asking):
        def __init__(self):
            self.local = made

    return lambda: Bot().ask("q")


@bot
def local_read_in_two_threads(tenant):
    def call():
        answers = []

        def run():
            LOCAL.tenant = tenant
            answers.append(told(lambda: Contextual(LOCAL).ask("q")))

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        return answers[0]

    return call


LOCAL = threading.local()


@bot
def getattr_that_knows_the_tenant(tenant):
    made = Forwarding(lambda name: tenant)
    return lambda: made.ask("q")


class Forwarding(Asking):
    def __init__(self, read):
        self._read = read

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self._read(name)


# ---------------------------------------------------------------- bots that are something else as well


def _also(base, *arguments, **keywords):
    def make(tenant):
        kind = type("Bot", (Asking, base), {"__hash__": object.__hash__})
        made = kind(*arguments, **keywords)
        try:
            made.tenant = tenant
        except ValueError:  # pydantic knows no such field
            object.__setattr__(made, "tenant", tenant)
        return lambda: made.ask("q")

    return make


for _base, _arguments in (
    (str, ("x",)),
    (int, (1,)),
    (float, (1.0,)),
    (bytes, (b"x",)),
    (list, ([1],)),
    (tuple, ((1,),)),
    (dict, ({"a": 1},)),
    (set, ({1},)),
    (Exception, ("x",)),
    (threading.Thread, ()),
    (threading.local, ()),
    (types.SimpleNamespace, ()),
    (pathlib.PurePosixPath, ("x",)),
    (httpx.Client, ()),
    (httpx.AsyncClient, ()),
    (pydantic.BaseModel, ()),
    (weakref.WeakSet, ()),
):
    BOTS[f"is also a {_base.__name__}"] = _also(_base, *_arguments)


@bot
def holds_what_a_list_holds(tenant):
    class Bot(Asking, list):
        __hash__ = object.__hash__

    return lambda: Bot([tenant]).ask("q")


@bot
def is_a_dataclass_and_a_dict(tenant):
    @dataclass(eq=False)
    class Bot(Asking, dict):
        name: str = "x"

    made = Bot()
    made["tenant"] = tenant
    return lambda: made.ask("q")


@bot
def is_an_enum(tenant):
    class Bot(enum.Enum):
        A = tenant

        @cache
        def ask(self, prompt):
            return model()

    return lambda: Bot.A.ask("q")


@bot
def attrs_with_a_hidden_field(tenant):
    @attrs.define(eq=False)
    class Bot(Asking):
        tenant: str = attrs.field(repr=False, eq=False, init=False)

    made = Bot()
    made.tenant = tenant
    return lambda: made.ask("q")


@bot
def private_field_of_a_model(tenant):
    class Bot(pydantic.BaseModel):
        _tenant: str = ""

        @cache
        def ask(self, prompt: str) -> str:
            return model()

    made = Bot()
    made._tenant = tenant
    return lambda: made.ask("q")


# ---------------------------------------------------------------- functions decorated late


@bot
def bound_method_decorated(tenant):
    made = Held(tenant)
    asked = cache(made.plain)
    return lambda: asked("q")


@bot
def callable_object_decorated(tenant):
    asked = cache(Held(tenant))
    return lambda: asked("q")


@bot
def callable_object_with_a_hidden_tenant(tenant):
    class Sly(Held):
        __dict__ = property(lambda self: {})

    made = Sly.__new__(Sly)
    object.__setattr__(made, "tenant", tenant)
    asked = cache(made)
    return lambda: asked("q")


@bot
def partial_of_a_bound_method(tenant):
    asked = cache(functools.partial(Held(tenant).plain))
    return lambda: asked("q")


@bot
def partial_with_a_tenant(tenant):
    asked = cache(functools.partial(Held.with_tenant, tenant))
    return lambda: asked(prompt="q")


@bot
def partial_method(tenant):
    class Bot:
        def _ask(self, prompt, who):
            return model()

        ask = functools.partialmethod(cache(_ask), who=tenant)

    return lambda: Bot().ask("q")


class Held:
    def __init__(self, tenant):
        self.tenant = tenant

    def plain(self, prompt):
        return model()

    def __call__(self, prompt):
        return model()

    @staticmethod
    def with_tenant(tenant, prompt):
        return model()


@pytest.mark.parametrize("name", BOTS)
def test_bots_that_hide_their_tenant(name):
    make = BOTS[name]
    apart(make("a"), make("b"))


# ---------------------------------------------------------------- state that changes between calls


def test_a_field_changed_in_place_is_another_caller():
    made = Asking()
    made.history = ["You serve a."]
    first = told(lambda: made.ask("q"))
    made.history[0] = "You serve b."
    second = told(lambda: made.ask("q"))
    assert first != second


def test_a_scope_that_changes_is_another_caller():
    scope = {"tenant": ["a"]}

    class Bot(Asking):
        def __cache_scope__(self):
            return scope

    made = Bot()
    answers = [told(lambda: made.ask("q"))]
    scope["tenant"][0] = "b"
    answers.append(told(lambda: made.ask("q")))
    scope["tenant"] = "c"
    answers.append(told(lambda: made.ask("q")))
    assert len(set(answers)) == 3


def test_a_scope_option_that_changes_is_another_caller():
    scope = {"tenant": "a", "more": {"deep": ["a"]}}

    @cache(scope=scope)
    def ask(prompt):
        return model()

    @cache(scope=lambda: scope)
    def ask_again(prompt):
        return model()

    for asked in (ask, ask_again):
        scope.update(tenant="a", more={"deep": ["a"]})
        answers = [told(lambda asked=asked: asked("q"))]
        scope["more"]["deep"][0] = "b"
        answers.append(told(lambda asked=asked: asked("q")))
        scope["tenant"] = "b"
        answers.append(told(lambda asked=asked: asked("q")))
        assert len(set(answers)) == 3


def test_values_of_a_scope_are_told_apart_by_type():
    now = {}

    class Bot(Asking):
        def __cache_scope__(self):
            return now["scope"]

    made = Bot()
    answers = []
    for scope in (1, True, 1.0, "1", {"t": 1}, {"t": True}, ("t", 1), ("t", True), {"a": 1, "b": 2}):
        now["scope"] = scope
        answers.append(told(lambda: made.ask("q")))
    assert len(set(answers)) == len(answers)


def test_a_registered_type_counts_by_what_is_said_of_it_now():
    class Tenant:
        def __init__(self, name):
            self.name = name

    register_fingerprint(Tenant, lambda tenant: tenant.name)

    @cache
    def ask(prompt, tenant):
        return model()

    held = Tenant("a")
    first = ask("q", held)
    held.name = "b"
    assert ask("q", held) != first
    apart(lambda: ask("q", Tenant("c")), lambda: ask("q", Tenant("d")))
    shared(lambda: ask("q", Tenant("a")), lambda: ask("q", Tenant("a")))


def test_a_class_that_changes_its_instances_class():
    class A(Asking):
        pass

    class B(Asking):
        pass

    made = A()
    made.x = 1
    first = told(lambda: made.ask("q"))
    made.__class__ = B
    second = told(lambda: made.ask("q"))
    assert first != second


# ---------------------------------------------------------------- classes of one name


def test_classes_of_one_name_in_two_modules(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("attack_one", "attack_two"):
        (tmp_path / f"{name}.py").write_text(_MODULE.format(tenant=name))
    one, two = importlib.import_module("attack_one"), importlib.import_module("attack_two")
    try:
        apart(lambda: one.Bot().ask("q"), lambda: two.Bot().ask("q"))
        apart(lambda: one.ask("q"), lambda: two.ask("q"))
        apart(lambda: one.asked("q"), lambda: two.asked("q"))
    finally:
        del sys.modules["attack_one"], sys.modules["attack_two"]


_MODULE = """
from semantic_llm_cache import cache
from attack_tools import model

TENANT = "{tenant}"

class Bot:
    @cache
    def ask(self, prompt):
        return model()

@cache
def ask(prompt):
    return model()

asked = cache(lambda prompt: model())
"""


def test_a_module_loaded_again_with_another_lambda(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    path = tmp_path / "attack_again.py"
    answers = []
    for tenant in ("a", "bb"):
        path.write_text(f"from attack_tools import model\nsystem = lambda: {tenant!r}\n")
        if "attack_again" in sys.modules:
            importlib.reload(sys.modules["attack_again"])
        else:
            importlib.import_module("attack_again")
        held = sys.modules["attack_again"].system

        @cache(namespace="shared")
        def ask(prompt, system):
            return model()

        answers.append(told(lambda ask=ask, held=held: ask("q", held)))
    del sys.modules["attack_again"]
    assert len(set(answers)) == 2


# ---------------------------------------------------------------- addresses


class Client(Asking):
    def __init__(self, client):
        self.client = client


def test_clients_at_one_address_after_collection():
    """The hole that the trial found: the auth of a client is a closure, and its `repr` holds an address."""
    answers = []
    for number in range(200):

        def auth(request, tenant=f"tenant {number}"):
            request.headers["authorization"] = tenant
            return request

        held = httpx.Client(auth=auth)
        answers.append(told(lambda held=held: Client(held).ask("q")))
        held.close()
        del held, auth
        if number % 20 == 0:
            gc.collect()
    assert len(set(answers)) == 200


def test_bots_at_one_address_after_collection():
    answers = []
    for number in range(200):
        made = Asking()
        made.tenant = f"tenant {number}"
        answers.append(made.ask("q"))
        del made
    assert len(set(answers)) == 200


# ---------------------------------------------------------------- and equal callers share


def test_equal_bots_share():
    class Bot(Asking):
        def __init__(self, tenant):
            self.tenant = tenant
            self.lock = threading.Lock()

    shared(lambda: Bot("a").ask("q"), lambda: Bot("a").ask("q"))
    apart(lambda: Bot("a").ask("q"), lambda: Bot("b").ask("q"))


async def test_a_near_answer_stays_with_its_bot():
    engine = SemanticCache("memory://", similarity=0.9)

    class Bot:
        def __init__(self, tenant):
            self.tenant = {"name": [tenant]}

        @engine.cache
        async def ask(self, prompt):
            return model()

    first = await Bot("a").ask("How do I reset my password?")
    assert await Bot("a").ask("How can I reset my password?") == first
    assert await Bot("b").ask("How can I reset my password?") != first
    await engine.close()
