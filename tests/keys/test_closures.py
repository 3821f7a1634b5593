"""What a decorated function closes over, and what it leaves to defaults, is part of the question."""

import contextvars
import functools
import gc
import logging
import os
import subprocess
import sys
import threading
import weakref

import pytest

from semantic_llm_cache import CachedLLM, CacheKeyError, cache
from semantic_llm_cache.backends import MemoryBackend, SQLiteBackend
from semantic_llm_cache.keys.binding import CallBinder
from semantic_llm_cache.keys.functions import is_of_other_globals


class Opaque:
    pass


def counting(answer):
    """A function that notes its calls in a list that it closes over."""
    calls = []

    @cache
    def ask(prompt):
        calls.append(prompt)
        return f"{answer} {len(calls)}"

    return ask


def test_closures_of_one_factory_are_told_apart_and_equal_ones_share():
    assert [counting(answer)("q") for answer in ("a", "b", "a", "b")] == ["a 1", "b 1", "a 1", "b 1"]


def test_a_list_that_the_function_appends_to_does_not_make_each_call_another_question():
    ask = counting("a")
    assert [ask("q"), ask("r"), ask("q"), ask("q")] == ["a 1", "a 2", "a 1", "a 1"]


def test_a_counter_that_the_function_rebinds_does_not_either():
    count = 0

    @cache
    def ask(prompt):
        nonlocal count
        count += 1
        return count

    assert [ask("q"), ask("r"), ask("q"), ask("q")] == [1, 2, 1, 1]


def test_a_variable_that_holds_something_else_now_is_another_question():
    tenant, style = "a", ["formal"]

    @cache
    def ask(prompt):
        return f"{tenant} {style}"

    assert [ask("q"), ask("q")] == ["a ['formal']"] * 2
    tenant = "b"
    assert ask("q") == "b ['formal']"
    style = ["casual"]
    assert ask("q") == "b ['casual']"
    tenant, style = "a", ["formal"]
    assert ask("q") == "a ['formal']"
    assert ask.cache_info().hits == 2


def test_a_variable_of_a_helper_counts_as_one_of_its_own():
    tenant = "a"

    def helper():
        return tenant

    @cache
    def ask(prompt):
        return helper()

    assert ask("q") == "a"
    tenant = "b"
    assert ask("q") == "b"


def test_a_function_that_calls_itself_shares_with_its_like():
    def make():
        @cache
        def ask(prompt):
            return prompt if len(prompt) < 2 else ask(prompt[1:])

        return ask

    assert make()("abc") == "c"
    assert make().cache_lookup("abc").hit


def test_a_variable_assigned_after_decorating_counts():
    def make(value):
        @cache
        def ask(prompt):
            return tenant

        tenant = value
        return ask

    assert [make(value)("q") for value in "aba"] == ["a", "b", "a"]


def test_a_context_variable_is_read_at_each_call():
    tenant = contextvars.ContextVar("tenant", default="a")

    @cache
    def ask(prompt):
        return tenant.get()

    assert ask("q") == "a"
    token = tenant.set("b")
    assert ask("q") == ask("q") == "b"
    tenant.reset(token)
    assert ask("q") == "a"
    assert contextvars.copy_context().run(lambda: (tenant.set("c"), ask("q"))[1]) == "c"


def test_another_opaque_object_is_another_question():
    client = Opaque()
    client.tenant = "a"

    @cache
    def ask(prompt):
        return client.tenant

    assert ask("q") == "a"
    before = client
    client = Opaque()
    client.tenant = "b"
    assert ask("q") == ask("q") == "b"
    client = before
    assert ask("q") == "a"


def test_a_variable_that_leads_back_to_its_class_ends():
    class Bot:
        def __init__(self, name):
            self.name = name

        def greet(self):
            return Bot.other.name

        @cache
        def ask(self, prompt):
            return f"{self.name} {self.greet()}"

    Bot.other = Bot("x")
    assert [Bot(name).ask("q") for name in "aba"] == ["a x", "b x", "a x"]


def test_lambdas_count_by_their_code():
    one, other = cache(lambda prompt: f"one {prompt}"), cache(lambda prompt: f"other {prompt}")
    assert [one("q"), other("q"), one("q")] == ["one q", "other q", "one q"]


def test_a_named_namespace_says_who_shares():
    def make(style):
        @cache(namespace="faq")
        def ask(prompt):
            return style

        return ask

    assert [make(style)("q") for style in "ab"] == ["a", "a"]


def test_what_has_no_form_is_private_and_said_once(tmp_path, caplog):
    def make(backend, **options):
        client = Opaque()

        @cache(backend=backend, **options)
        def ask(prompt):
            return str(id(client))

        return ask

    shared = SQLiteBackend(tmp_path / "cache.db")
    with caplog.at_level(logging.WARNING):
        one, other = make(shared), make(shared)
        assert one("q") == one("q") != other("q")
        assert one("r") != other("r")
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    for words in ("ask closes over 'client'", "ignore=('client',)", "namespace=", "scope="):
        assert words in said[0]
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        make(shared, ignore=("client",))("q")
        make(shared, namespace="faq")("q")
        make(MemoryBackend())("q")
    assert caplog.records == []
    one, other = (make(shared, ignore="client") for _ in range(2))
    assert one("q") == other("q")


def test_locks_and_loggers_do_not_count():
    def make():
        lock, log = threading.Lock(), logging.getLogger("x")

        @cache
        def ask(prompt):
            with lock:
                log.debug("asked")
            return prompt

        return ask

    assert make()("q") == "q"
    assert make().cache_lookup("q").hit


def test_decorated_below_another_decorator():
    def retrying(times):
        def decorate(function):
            @functools.wraps(function)
            def inner(*args, **kwargs):
                return f"{times} {function(*args, **kwargs)}"

            return inner

        return decorate

    def written(prompt):
        return prompt

    asks = [cache(retrying(times)(written)) for times in (1, 2, 1)]
    assert [ask("q") for ask in asks] == ["1 q", "2 q", "1 q"]
    assert asks[2].cache_info().hits == 1


def test_what_a_function_closed_over_is_not_kept_alive_when_it_holds_something_else():
    class Big(list):
        pass

    held = Big()

    @cache
    def ask(prompt):
        return len(held)

    ask("q")
    gone = weakref.ref(held)
    held = Big([1])
    ask("q")
    gc.collect()
    assert gone() is None


def test_two_threads_that_see_other_values_never_mix_them():
    value = "a"

    def function(prompt):
        return value

    binder = CallBinder(function)
    one = binder.bind(("q",), {})
    value = "b"
    assert binder.recall(("q",), {}) is None
    other = binder.bind(("q",), {})
    assert binder.recall(("q",), {}) == other != one
    value = "a"
    assert binder.recall(("q",), {}) in (None, one)


def test_across_processes():
    code = (
        "from semantic_llm_cache.keys.binding import CallBinder\n"
        "import threading\n"
        "def make(held, lock):\n"
        "    def ask(prompt): return held, lock\n"
        "    return ask\n"
        "for held in ('a', 'b', {'x', 'y', 'z'}):\n"
        "    print(CallBinder(make(held, threading.Lock())).bind(('q',), {}).key)\n"
        "print(CallBinder(lambda prompt: prompt in {'a', 'b', 'c'}).bind(('q',), {}).key)\n"
    )
    outs = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(outs) == 1
    assert len(set(outs.pop().split())) == 4


# ---------------------------------------------------------------------------------- defaults


def test_a_default_that_has_changed_is_another_question():
    tools = ["search"]

    @cache
    def ask(prompt, tools=tools, *, options={"a": 1}):  # noqa: B006
        return f"{tools} {options}"

    assert ask("q") == ask("q") == "['search'] {'a': 1}"
    tools.append("delete")
    assert ask("q") == "['search', 'delete'] {'a': 1}"
    ask.__wrapped__.__kwdefaults__["options"]["a"] = 2
    assert ask("q") == "['search', 'delete'] {'a': 2}"
    assert ask("q", "x", options=1) == "x 1"
    assert ask("q", tools="x", options=1) == "x 1"
    assert ask.cache_info().hits == 2


def test_a_keyword_default_behind_varargs_is_read_however_many_they_are():
    seen = []

    @cache
    def ask(prompt, *more, seen=seen):
        return f"{seen}"

    assert ask("q", 1, 2, 3, 4) == "[]"
    seen.append(1)
    assert ask("q", 1, 2, 3, 4) == "[1]"


def test_defaults_of_methods_too():
    class Bot:
        @cache
        def ask(self, prompt, seen=[]):  # noqa: B006
            return f"{seen}"

    bot = Bot()
    assert bot.ask("q") == bot.ask("q") == "[]"
    Bot.ask.__wrapped__.__defaults__[0].append(1)
    assert bot.ask("q") == "[1]"


# ----------------------------------------------------------------------------------- llm_func


def answering(answer):
    return lambda prompt, **options: answer


def named(answer):
    def call(prompt):
        return answer

    return call


class Model:
    def __init__(self, answer):
        self.answer = answer

    def call(self, prompt):
        return self.answer

    def __call__(self, prompt):
        return self.answer


def prefixed(answer, prompt):
    return answer


@pytest.mark.parametrize(
    "make",
    [
        answering, named, Model, lambda answer: Model(answer).call, lambda answer: functools.partial(prefixed, answer),
        lambda answer: cache(named(answer)), lambda answer: eval(f"lambda prompt: {answer!r}"),
    ],
)  # fmt: skip
def test_another_llm_func_is_another_question(make):
    llm = CachedLLM("mine", "m")
    assert [llm.chat("q", llm_func=make(answer)) for answer in ("a", "b", "a")] == ["a", "b", "a"]
    assert llm.engine.info().hits == 1


def test_a_function_that_counts_its_calls_is_still_one_function():
    calls = []

    def call(prompt):
        calls.append(prompt)
        return len(calls)

    llm = CachedLLM("mine", "m")
    assert [llm.chat(prompt, llm_func=call) for prompt in "qrqr"] == [1, 2, 1, 2]


def test_an_llm_func_that_holds_something_opaque_is_named():
    held = Opaque()
    llm = CachedLLM("mine", "m")
    with pytest.raises(CacheKeyError, match=r"llm_func=.*closes over 'held'.*__cache_scope__"):
        llm.chat("q", llm_func=lambda prompt: held)
    with pytest.raises(CacheKeyError, match=r"llm_func\.answer is a .*Opaque"):
        llm.chat("q", llm_func=Model(Opaque()))


@pytest.mark.parametrize(
    ("provider", "variable"),
    [
        ("openai", "OPENAI_API_KEY"), ("openai", "OPENAI_ORG_ID"), ("openai", "OPENAI_PROJECT_ID"),
        ("openai", "OPENAI_BASE_URL"), ("anthropic", "ANTHROPIC_AUTH_TOKEN"), ("ollama", "OLLAMA_HOST"),
        ("openai", "HTTPS_PROXY"),
    ],
)  # fmt: skip
def test_what_an_sdk_reads_of_the_environment_counts(monkeypatch, provider, variable):
    llm = CachedLLM(provider, "m")

    def key(value):
        monkeypatch.setenv(variable, value)
        return llm._prepare("q", None, {})[1].key

    assert key("a") == key("a") != key("b")


# ----------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("option", "named"),
    [
        ({"ignore": 5}, "ignore=5"), ({"ignore": b"x"}, "ignore=b'x'"), ({"ignore": [b"prompt"]}, "ignore="),
        ({"tags": 5}, "tags=5"), ({"tags": b"x"}, "tags=b'x'"), ({"tags": [1]}, "tags="),
        ({"namespace": 5}, "namespace=5"), ({"namespace": b"x"}, "namespace=b'x'"), ({"namespace": None}, "namespace="),
        ({"prompt": b"x"}, "prompt="), ({"version": 1.5}, "version="),
    ],
)  # fmt: skip
def test_bad_options_are_named(option, named):
    def ask(prompt): ...

    with pytest.raises(TypeError, match=named):
        cache(**option)(ask)


def test_the_main_script_in_a_process_of_multiprocessing_is_not_code_made_at_run_time():
    def made(name):
        names = {"__name__": name}
        exec("def ask(prompt): return prompt", names)
        return names["ask"]

    assert is_of_other_globals(made(__name__))
    assert not is_of_other_globals(made("__mp_main__"))
    assert not is_of_other_globals(test_the_main_script_in_a_process_of_multiprocessing_is_not_code_made_at_run_time)
