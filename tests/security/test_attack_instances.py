"""Instances that hide whom they serve: the caller's name is anywhere but in a plain field."""

import contextvars
import enum
import functools
import pathlib
import threading
import types
import weakref
from dataclasses import dataclass

import attrs
import httpx
import pydantic
import pytest
from attack_tools import apart, model, told

from semantic_llm_cache import cache

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
