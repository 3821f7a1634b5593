"""Decorated functions: what keeps two answers apart, and what does not."""

import contextvars
import enum
import functools

import pytest
from warning_helpers import no_warning

from semantic_llm_cache import CacheContext, CacheKeyError, SemanticCache, cache, last_lookup
from semantic_llm_cache.backends import MemoryBackend
from semantic_llm_cache.exceptions import CacheWarning
from semantic_llm_cache.utils import normalize_prompt


class Calls(list):
    """Notes what was asked, and answers with the number of the call."""

    def answer(self, *what):
        self.append(what)
        return f"answer {len(self)}"


@pytest.fixture
def calls():
    return Calls()


def shared(function, *calls):
    """How many runs of the function these calls needed; each call is (args, kwargs)."""
    answers = [function(*args, **kwargs) for args, kwargs in calls]
    return len(answers) - len(set(answers)) > 0 and len(set(answers)) == 1


def a(*args, **kwargs):
    return args, kwargs


def test_default_arguments_count_as_if_given(calls):
    @cache
    def ask(prompt, model="small", *, temperature=0.0):
        return calls.answer(prompt, model, temperature)

    assert shared(
        ask, a("q"), a("q", "small"), a(prompt="q"), a("q", model="small", temperature=0.0),
        a(temperature=0.0, model="small", prompt="q"), a("  q\r\n"),
    )  # fmt: skip
    assert len(calls) == 1


@pytest.mark.parametrize(
    "other",
    [
        a("r"), a("q", "large"), a("q", temperature=0.7), a("q", temperature=0), a("q", temperature=False),
        a("q", seed=1), a("q", None), a("Q"), a("q q"),
    ],
)  # fmt: skip
def test_any_other_argument_is_another_question(calls, other):
    @cache
    def ask(prompt, model="small", *, temperature=0.0, **rest):
        return calls.answer(prompt)

    assert not shared(ask, a("q"), other)
    assert ask("q") == "answer 1"
    assert ask(*other[0], **other[1]) == "answer 2"
    assert len(calls) == 2


def test_types_count(calls):
    @cache
    def ask(prompt, value):
        return calls.answer(prompt, value)

    values = [1, True, 1.0, "1", b"1", None, "None", (1,), [1], {"a": 1}, {"a": True}]
    assert len({ask("q", value) for value in values}) == len(values)
    assert [ask("q", value) for value in values] == [f"answer {i}" for i in range(1, len(values) + 1)]


async def test_same_for_async_functions(calls):
    @cache
    async def ask(prompt, model="small", **rest):
        return calls.answer(prompt, model)

    assert await ask("q") == await ask("q", model="small") == await ask(prompt="q")
    assert await ask("q", "large") == "answer 2"
    assert await ask("q", tools=[{"name": "a"}]) == "answer 3"
    assert await ask("q", tools=[{"name": "a"}]) == "answer 3"
    assert await ask("q", tools=[{"name": "b"}]) == "answer 4"


def test_two_functions_do_not_share(calls):
    @cache
    def one(prompt):
        return calls.answer("one")

    @cache
    def two(prompt):
        return calls.answer("two")

    assert one("q") != two("q")


def test_functions_of_one_namespace_share(calls):
    @cache(namespace="faq")
    def one(prompt):
        return calls.answer("one")

    @cache(namespace="faq")
    def two(prompt):
        return calls.answer("two")

    @cache(namespace="other")
    def three(prompt):
        return calls.answer("three")

    assert one("q") == two("q") == "answer 1"
    assert three("q") == "answer 2"


def test_ignored_arguments_do_not_count(calls):
    @cache(ignore=("client", "trace"))
    def ask(prompt, client=None, trace="", model="m"):
        return calls.answer(prompt)

    assert shared(ask, a("q"), a("q", object()), a("q", trace="x"), a("q", object(), "y", "m"))
    assert ask("q", model="l") == "answer 2"


def test_an_argument_without_a_form_is_refused_and_nothing_called(calls):
    @cache
    def ask(prompt, client):
        return calls.answer(prompt)

    with pytest.raises(CacheKeyError, match=r"argument 'client'.*ignore=.*key_func="):
        ask("q", object())
    assert calls == []


def test_scope_from_a_mapping_and_a_callable(calls):
    tenant = contextvars.ContextVar("tenant", default="a")

    def make(scope):
        @cache(scope=scope, namespace="faq")
        def ask(prompt):
            return calls.answer(prompt)

        return ask

    answers = {make({"tenant": name})("q") for name in "ab"}
    assert len(answers) == 2
    by_context = make(lambda: {"tenant": tenant.get()})
    assert by_context("q") in answers  # the same scope said otherwise
    tenant.set("c")
    assert by_context("q") not in answers
    assert by_context("q") == "answer 3"
    tenant.set("a")
    assert by_context("q") == "answer 1"


def test_a_changed_scope_mapping_is_seen(calls):
    scope = {"tenant": "a"}

    @cache(scope=scope)
    def ask(prompt):
        return calls.answer(prompt)

    assert ask("q") == ask("q") == "answer 1"
    scope["tenant"] = "b"
    assert ask("q") == "answer 2"


def test_version_starts_afresh(calls):
    def make(version):
        @cache(version=version, namespace="faq")
        def ask(prompt):
            return calls.answer(prompt)

        return ask

    assert len({make(version)("q") for version in (None, 1, "1", 2)}) == 4
    assert make(2)("q") == "answer 4"


def test_key_func_makes_the_key(calls):
    @cache(key_func=lambda prompt, user: prompt.split()[0])
    def ask(prompt, user):
        return calls.answer(prompt)

    assert ask("weather today", object()) == ask("weather now", object()) == "answer 1"
    assert ask("news today", object()) == "answer 2"


def test_normalizer(calls):
    @cache(normalizer=normalize_prompt)
    def ask(prompt):
        return calls.answer(prompt)

    assert ask("What is Python?") == ask("  what IS  python") == "answer 1"
    assert calls == [("What is Python?",)]  # the function sees the prompt as given


def test_messages(calls):
    @cache
    def ask(messages, model="m"):
        return calls.answer()

    system, other = ({"role": "system", "content": text} for text in ("Be short.", "Be long."))
    turn = {"role": "user", "content": "yes"}
    assert ask([system, turn]) == ask([system, turn], "m") == "answer 1"
    assert ask([other, turn]) == "answer 2"
    assert ask([turn]) == "answer 3"
    assert ask([system, {"role": "assistant", "content": "Delete all?"}, turn]) == "answer 4"


def test_context_namespace_partitions_and_never_shares(calls):
    @cache
    def one(prompt):
        return calls.answer("one")

    @cache
    def two(prompt):
        return calls.answer("two")

    @cache(namespace="faq")
    def three(prompt):
        return calls.answer("three")

    @cache(namespace="other")
    def four(prompt):
        return calls.answer("four")

    outside = [f("q") for f in (one, two, three, four)]
    with CacheContext(namespace="inside"):
        inside = [f("q") for f in (one, two, three, four)]
        assert [f("q") for f in (one, two, three, four)] == inside
    assert len({*outside, *inside}) == 8
    with CacheContext(namespace="faq"):
        assert one("q") != two("q")
        assert three("q") not in outside
    assert [f("q") for f in (one, two, three, four)] == outside


def factory(style):
    @cache
    def ask(prompt):
        return f"{style}: {prompt}"

    return ask


def test_closures_of_one_factory_do_not_share():
    formal, casual, again = factory("formal"), factory("casual"), factory("formal")
    with no_warning():
        assert formal("q") == "formal: q"
        assert casual("q") == "casual: q"
    assert again.cache_lookup("q").hit


def two_of_one_name():
    """Two functions of one name, without a closure to tell them apart."""

    @cache
    def ask(prompt):
        return "one"

    first = ask

    @cache
    def ask(prompt):
        return "other"

    return first, ask


def test_two_functions_of_one_name_warn_and_name_the_ways_out():
    one, other = two_of_one_name()
    assert one("q") == "one"
    with pytest.warns(CacheWarning, match=r"two_of_one_name\.<locals>\.ask.*namespace=.*scope="):
        other("q")


@pytest.mark.parametrize(
    "option",
    [
        lambda style: {"namespace": f"style {style}"},
        lambda style: {"scope": {"style": style}},
        lambda style: {"scope": lambda: style},
        lambda style: {"version": style},
        lambda style: {"backend": "memory://"},
    ],
)
def test_taking_a_way_out_ends_warning_and_sharing(option):
    def make(style):
        @cache(**option(style))
        def ask(prompt):
            return f"{style}: {prompt}"

        return ask

    one, two = make("a"), make("b")
    with no_warning():
        assert [one("q"), two("q"), one("q"), two("q")] == ["a: q", "b: q", "a: q", "b: q"]


def test_functions_of_one_name_under_one_scope_still_warn():
    def make():
        @cache(scope={"tenant": 1})
        def ask(prompt):
            return "answer"

        return ask

    one, two = make(), make()
    one("q")
    with pytest.warns(CacheWarning, match="two different functions"):
        two("q")


def test_one_function_decorated_twice_does_not_warn(calls):
    def ask(prompt):
        return calls.answer(prompt)

    one, two = cache(ask), cache(ttl=60)(ask)
    with no_warning():
        assert one("q") == two("q") == "answer 1"


def test_backends_of_their_own_do_not_share():
    first, second = MemoryBackend(), MemoryBackend()

    def make(style, backend):
        @cache(backend=backend)
        def ask(prompt):
            return style

        return ask

    assert make("a", first)("q") == "a"
    assert make("b", second)("q") == "b"


def test_partials_and_bound_methods_do_not_share(calls):
    def ask(tenant, prompt):
        return calls.answer(tenant)

    one, two = (cache(functools.partial(ask, tenant)) for tenant in "ab")
    with no_warning():
        assert one("q") == one("q") == "answer 1"
        assert two("q") == "answer 2"

    class Model:
        def __init__(self, name):
            self.name = name

        def ask(self, prompt):
            return self.name

        def __call__(self, prompt):
            return self.name

    methods, objects = [cache(Model(name).ask) for name in "xyx"], [cache(Model(name)) for name in "xyx"]
    with no_warning():
        assert [ask("q") for ask in methods] == ["x", "y", "x"]
        assert [ask("q") for ask in objects] == ["x", "y", "x"]


def test_enum_and_model_arguments(calls):
    class Tone(enum.Enum):
        WARM = "warm"
        COLD = "cold"

    @cache
    def ask(prompt, tone):
        return calls.answer(tone)

    assert ask("q", Tone.WARM) == ask("q", Tone.WARM) != ask("q", Tone.COLD) != ask("q", "warm")


def test_decorator_of_an_engine_counts_the_same(calls):
    engine = SemanticCache("memory://", namespace="faq", tags="t")

    @engine.cache(version=2)
    def ask(prompt, model="m"):
        return calls.answer(prompt)

    assert ask("q") == ask("q", model="m") == "answer 1"
    assert ask("q", "l") == "answer 2"
    assert last_lookup().namespace == "faq"


def test_calls_that_do_not_fit_raise_the_functions_own_error(calls):
    @cache
    def ask(prompt):
        return calls.answer(prompt)

    with pytest.raises(TypeError, match=r"ask\(\) got an unexpected keyword argument 'model'"):
        ask("q", model=1)
    with pytest.raises(TypeError, match=r"missing 1 required positional argument: 'prompt'"):
        ask()
