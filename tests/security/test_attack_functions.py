"""Functions that share a name, and what they hold: closures, defaults, partials, lambdas."""

import functools

import pytest
from attack_tools import AGAIN, ASKED, apart, apart_later, model, shared, told

from semantic_llm_cache import CacheContext, CachedLLM, SemanticCache, cache

# Two functions of one name earn a warning, which is not what is asked here.
pytestmark = pytest.mark.filterwarnings("ignore::semantic_llm_cache.exceptions.CacheWarning")

FACTORIES = {}


def factory(make):
    """Register a function from a tenant to a call."""
    FACTORIES[make.__name__.replace("_", " ")] = make
    return make


@factory
def closure(tenant):
    @cache
    def ask(prompt):
        return tenant and model()

    return lambda: ask("q")


@factory
def closure_over_a_list(tenant):
    holds = [tenant]

    @cache
    def ask(prompt):
        return holds and model()

    return lambda: ask("q")


@factory
def closure_over_a_closure(tenant):
    def read():
        return tenant

    @cache
    def ask(prompt):
        return read() and model()

    return lambda: ask("q")


@factory
def closure_over_an_object(tenant):
    holds = Holder(tenant)

    @cache
    def ask(prompt):
        return holds and model()

    return lambda: ask("q")


class Holder:
    def __init__(self, tenant):
        self._read = [lambda: tenant]


@factory
def cell_filled_later(tenant):
    @cache
    def ask(prompt):
        return late and model()

    late = tenant
    return lambda: ask("q")


@factory
def default_of_a_parameter(tenant):
    @cache
    def ask(prompt, tenant=tenant):
        return model()

    return lambda: ask("q")


@factory
def ignored_default(tenant):
    @cache(ignore="session")
    def ask(prompt, session=None, tenant=tenant):
        return model()

    return lambda: ask("q")


@factory
def lambda_in_a_closure(tenant):
    ask = cache(lambda prompt: tenant and model())
    return lambda: ask("q")


@factory
def generator(tenant):
    @cache
    def ask(prompt):
        yield tenant and model()

    return lambda: "".join(ask("q"))


@factory
def wrapped_by_another_decorator(tenant):
    def sign(function):
        @functools.wraps(function)
        def signed(prompt):
            return tenant and function(prompt)

        return signed

    ask = cache(sign(_plain))
    return lambda: ask("q")


@factory
def hidden_below_wraps(tenant):
    @functools.wraps(_plain)
    def ask(prompt):
        return tenant and model()

    asked = cache(ask)
    return lambda: asked("q")


@factory
def cached_by_functools_first(tenant):
    @functools.lru_cache
    def ask(prompt):
        return tenant and model()

    asked = cache(ask)
    return lambda: asked("q")


@factory
def partial_that_holds_a_tenant(tenant):
    asked = cache(functools.partial(_with_tenant, tenant=tenant))
    return lambda: asked("q")


@factory
def partial_of_a_closure(tenant):
    def ask(prompt):
        return tenant and model()

    asked = cache(functools.partial(ask))
    return lambda: asked("q")


@factory
def callable_object(tenant):
    class Ask:
        def __call__(self, prompt):
            return tenant and model()

    asked = cache(Ask())
    return lambda: asked("q")


@factory
def attribute_of_the_function(tenant):
    def ask(prompt):
        return ask.tenant and model()

    ask.tenant = tenant
    asked = cache(ask)
    return lambda: asked("q")


@factory
def bound_engine(tenant):
    @ENGINE.cache
    def ask(prompt):
        return tenant and model()

    return lambda: ask("q")


@factory
def within_a_context(tenant):
    @cache
    def ask(prompt):
        return tenant and model()

    def call():
        with CacheContext(namespace="n"):
            return ask("q")

    return call


@factory
def key_from_a_function(tenant):
    @cache(key_func=lambda prompt: "the same key")
    def ask(prompt):
        return tenant and model()

    return lambda: ask("q")


@factory
def tag_of_a_tenant(tenant):
    @cache(tags=lambda prompt: (tenant,))
    def ask(prompt):
        return tenant and model()

    return lambda: ask("q")


@factory
def scope_from_a_closure(tenant):
    @cache(scope=lambda: {"tenant": tenant})
    def ask(prompt):
        return model()

    return lambda: ask("q")


@factory
def code_made_at_run_time(tenant):
    names = {"cache": cache, "model": model, "__name__": __name__}
    exec(f"@cache\ndef ask(prompt):\n    return ({tenant!r}, model())[1]\n", names)
    return lambda: names["ask"]("q")


@factory
def llm_func_lambda(tenant):
    return lambda: LLM.chat("q", llm_func=lambda prompt: tenant and model())


@factory
def llm_func_closure(tenant):
    def ask(prompt):
        return tenant and model()

    return lambda: LLM.chat("q", llm_func=ask)


@factory
def llm_func_partial(tenant):
    return lambda: LLM.chat("q", llm_func=functools.partial(_with_tenant, tenant=tenant))


@factory
def llm_func_bound_method(tenant):
    class Bot:
        def __init__(self):
            self.tenant = tenant

        def ask(self, prompt):
            return model()

    return lambda: LLM.chat("q", llm_func=Bot().ask)


def _plain(prompt):
    return model()


def _with_tenant(prompt, tenant):
    return model()


ENGINE = SemanticCache("memory://")
LLM = CachedLLM("other", "m")


@pytest.mark.parametrize("name", FACTORIES)
def test_functions_of_one_name(name):
    make = FACTORIES[name]
    apart(make("a"), make("b"))
    apart(make("b"), make("a"))


def test_functions_of_one_name_one_at_a_time():
    """The first one is gone before the second is made, so that no list of living functions can tell them apart."""
    for name, make in FACTORIES.items():
        answers = []
        for tenant in ("a", "b"):
            answers.append(told(make(tenant)))
        assert answers[0] != answers[1], name


def test_functions_in_a_loop():
    for asked in (
        [cache(lambda prompt, t=t: t and model()) for t in "abc"],
        # Not `"a" and model()`: the compiler drops that "a", and two lambdas of one code share.
        [cache(lambda prompt: ("a", model())[1]), cache(lambda prompt: ("b", model())[1])],
    ):
        apart(*(lambda ask=ask: ask("q") for ask in asked))


async def test_two_functions_given_to_one_chat():
    for ask in (LLM.achat, CachedLLM("other", "m", similarity=0.9).achat):

        async def one(prompt):
            return model()

        async def other(prompt):
            return model()

        await apart_later(lambda ask=ask: ask("q", llm_func=one), lambda ask=ask: ask("q", llm_func=other))
        await apart_later(lambda ask=ask: ask(ASKED, llm_func=one), lambda ask=ask: ask(AGAIN, llm_func=other))


def test_one_function_shares_with_itself():
    @cache
    def ask(prompt):
        return model()

    shared(lambda: ask("q"), lambda: ask("q"))
    shared(lambda: LLM.chat("q", llm_func=_plain), lambda: LLM.chat("q", llm_func=_plain))


# ---------------------------------------------------------------- binding tricks


def test_positional_and_keyword_of_one_name():
    @cache
    def ask(prompt, tenant="x", /, **more):
        return model()

    apart(lambda: ask("q", "a", tenant="b"), lambda: ask("q", "b", tenant="a"), lambda: ask("q", "a"))


def test_a_rest_that_looks_like_the_parts_of_a_key():
    @cache
    def ask(prompt, tenant=None, **more):
        return model()

    apart(
        lambda: ask("q", tenant="a"),
        lambda: ask("q", args={"tenant": "a"}),
        lambda: ask("q", rest={"tenant": "a"}),
        lambda: ask("q", scope={"tenant": "a"}),
        lambda: ask("q", version=1),
        lambda: ask("q", function="ask"),
        lambda: ask("q", namespace="n"),
        lambda: ask("q", key="k"),
    )
