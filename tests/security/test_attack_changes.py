"""Instances that change between calls, classes of one name, and what lies at the address of something collected."""

import gc
import importlib
import sys
import threading

import httpx
import pytest
from attack_tools import apart, model, shared, told

from semantic_llm_cache import SemanticCache, cache, register_fingerprint

# An instance that changes between calls earns a warning, which is not what is asked here.
pytestmark = pytest.mark.filterwarnings("ignore:.*has changed between calls")


class Asking:
    @cache
    def ask(self, prompt):
        return model()


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
    for number in range(40):

        def auth(request, tenant=f"tenant {number}"):
            request.headers["authorization"] = tenant
            return request

        held = httpx.Client(auth=auth)
        answers.append(told(lambda held=held: Client(held).ask("q")))
        held.close()
        del held, auth
        if number % 10 == 0:
            gc.collect()
    assert len(set(answers)) == 40


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


# ---------------------------------------------------------------- defaults that change


def test_a_mutable_default_that_was_changed():
    headers, options = {"x-tenant": "a"}, ["a"]

    @cache
    def ask(prompt, headers=headers, *, options=options):
        return model()

    answers = [ask("q"), ask("q")]
    assert answers[0] == answers[1]
    headers["x-tenant"] = "b"
    answers.append(ask("q"))
    options[0] = "b"
    answers.append(ask("q"))
    options.append("c")
    answers.append(ask("q"))
    assert len(set(answers)) == 4


async def test_a_mutable_default_that_was_changed_async():
    headers = {"deep": [{"x-tenant": "a"}]}

    @cache
    async def ask(prompt, headers=headers):
        return model()

    first = await ask("q")
    headers["deep"][0]["x-tenant"] = "b"
    assert await ask("q") != first


def test_a_mutable_default_of_a_method_that_was_changed():
    headers = {"x-tenant": "a"}

    class Bot:
        @cache
        def ask(self, prompt, headers=headers):
            return model()

    made = Bot()
    first = made.ask("q")
    headers["x-tenant"] = "b"
    assert made.ask("q") != first


def test_a_cell_that_was_changed():
    tenant = "a"

    @cache
    def ask(prompt):
        return tenant and model()

    def change(to):
        nonlocal tenant
        tenant = to

    first = told(lambda: ask("q"))
    change("b")
    assert told(lambda: ask("q")) != first


@pytest.mark.filterwarnings("ignore:.*has changed between calls")
def test_the_object_of_a_decorated_method_that_was_changed():
    class Bot:
        def __init__(self):
            self.tenant = ["a"]

        def ask(self, prompt):
            return model()

    made = Bot()
    asked = cache(made.ask)
    first = told(lambda: asked("q"))
    made.tenant[0] = "b"
    assert told(lambda: asked("q")) != first
