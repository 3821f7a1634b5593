"""Methods: each knows its instance, and looks like the function that it wraps."""

import asyncio
import copy
import functools
import inspect
import itertools
import pickle
import sys
import typing
import weakref
from abc import ABC, abstractmethod

import pytest

from semantic_llm_cache import cache

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
