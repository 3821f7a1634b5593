"""Two callers differ in one value that tries to look like the other's, wherever a value can stand."""

import functools
import gc

import attack_things
import attack_values
import pytest
from attack_tools import apart_later, model, shared, told

from semantic_llm_cache import CachedLLM, Request, SemanticCache, cache, set_default_backend
from semantic_llm_cache.backends import MemoryBackend

PAIRS = {**attack_values.PAIRS, **attack_things.PAIRS}


class Bot:
    def __init__(self, held):
        self.held = held

    @cache(similarity=1.0)
    def ask(self, prompt):
        return model()


class Slotted:
    __slots__ = ("held",)

    def __init__(self, held):
        self.held = held

    @cache
    def ask(self, prompt):
        return model()


class Scoped:
    def __init__(self, held):
        self.held = held

    def __cache_scope__(self):
        return self.held

    @cache
    def ask(self, prompt):
        return model()


@cache
def ask(prompt, held=None):
    return model()


@cache
def ask_rest(prompt, *rest, **named):
    return model()


@cache
async def ask_later(prompt, held=None):
    return model()


def within_closure(held):
    @cache
    def ask(prompt):
        held
        return model()

    return ask


def within_default(held):
    @cache(ignore=())
    def ask(prompt, held=held):
        return model()

    return ask


def in_scope(held):
    @cache(scope=lambda: HELD["now"])
    def ask(prompt):
        return model()

    def call():
        HELD["now"] = held
        return ask("q")

    return call


HELD = {}


async def _engine_asks(engine, held):
    async def call():
        return model()

    return await engine.get_or_call(Request("n", held, "q"), call)


PLACES = {
    "field": lambda held: lambda: Bot(held).ask("q"),
    "slot": lambda held: lambda: Slotted(held).ask("q"),
    "cache scope": lambda held: lambda: Scoped(held).ask("q"),
    "inner field": lambda held: lambda: Bot([{"deep": Bot(held)}]).ask("q"),
    "argument": lambda held: lambda: ask("q", held),
    "keyword": lambda held: lambda: ask("q", held=held),
    "rest": lambda held: lambda: ask_rest("q", held),
    "named rest": lambda held: lambda: ask_rest("q", held=held),
    "nested argument": lambda held: lambda: ask("q", {"a": [held]}),
    "dict key": lambda held: lambda: ask("q", {held: 1}) if _hashable(held) else model(),
    "set member": lambda held: lambda: ask("q", {held}) if _hashable(held) else model(),
    "closure": lambda held: lambda: within_closure(held)("q"),
    "default": lambda held: lambda: within_default(held)("q"),
    "scope option": in_scope,
    "message": lambda held: lambda: ask([{"role": "user", "content": "q", "name": held}]),
    "history": lambda held: lambda: ask([{"role": "system", "content": held}, {"role": "user", "content": "q"}]),
    "prompt": lambda held: lambda: ask(held),
    "CachedLLM": lambda held: lambda: LLM.chat("q", llm_func=answer, held=held),
}

LLM = CachedLLM("other", "m")


def answer(prompt, **_):
    return model()


def _hashable(value):
    try:
        hash(value)
    except TypeError:
        return False
    return True


# NFC, and outer space stripped: `docs/keys.md` says that this is done to the text of a prompt.
SAME_PROMPT = {"composed and decomposed", "trailing space"}


def leaks(name, make):
    """Return the places in which one of the pair gets the other's answer."""
    found = []
    for place, put in PLACES.items():
        if place == "prompt" and name in SAME_PROMPT:
            continue
        one, other = make()
        for first, second in ((one, other), (other, one)):
            clear()
            answers = told(put(first)), told(put(second))
            if answers[0] == answers[1]:
                found.append(place)
                break
    return found


def clear():
    set_default_backend(MemoryBackend())


@pytest.mark.parametrize("name", PAIRS)
def test_values_that_look_alike(name):
    assert leaks(name, PAIRS[name]) == []


async def test_values_that_look_alike_async():
    for make in PAIRS.values():
        one, other = make()
        await apart_later(lambda one=one: ask_later("q", one), lambda other=other: ask_later("q", other))


async def test_values_that_look_alike_in_a_request_by_hand():
    engine = SemanticCache("memory://")
    for make in PAIRS.values():
        one, other = make()
        await apart_later(lambda one=one: _engine_asks(engine, one), lambda other=other: _engine_asks(engine, other))


@pytest.mark.parametrize("held", [None, True, 1, "a", b"a", 1.5, ["a"], ("a",), {"a": [1]}, {1, 2}])
def test_equal_values_share(held):
    for place in ("field", "slot", "cache scope", "argument", "named rest", "default", "scope option", "CachedLLM"):
        put = PLACES[place]
        shared(put(held), put(held))


def test_no_address_reaches_a_key():
    """A value is collected, the next one lies at its address and gets its answer."""

    class Held:
        def __init__(self, tenant):
            self._read = lambda: tenant

    makers = [
        lambda tenant: lambda: tenant,
        lambda tenant: functools.partial(lambda t: t, tenant),
        lambda tenant: Held(tenant),
        lambda tenant: iter([tenant]),
        lambda tenant: attack_things.Caller(tenant).method,
    ]
    for make in makers:
        answers = []
        for number in range(60):
            held = make(f"tenant {number}")
            answers += [told(PLACES[place](held)) for place in ("argument", "field", "closure")]
            del held
            gc.collect(0)
        assert len(set(answers)) == len(answers)
