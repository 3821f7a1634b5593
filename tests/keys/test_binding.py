"""From a signature and a call's arguments to a request."""

import functools
import inspect
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semantic_llm_cache import CacheKeyError
from semantic_llm_cache.keys.binding import PROMPT_NAMES, BadCall, CallBinder


def text_of(function, *args, prompt=None, **kwargs):
    return CallBinder(function, prompt=prompt).bind(args, kwargs).text


# ------------------------------------------------------------------------- which is the prompt


def test_prompt_names_in_their_order():
    assert PROMPT_NAMES == ("prompt", "messages", "question", "query", "input", "text", "message")
    for i, name in enumerate(PROMPT_NAMES):
        others = ", ".join(reversed(PROMPT_NAMES[i:]))
        scope = {}
        exec(f"def f(model, {others}): ...", scope)
        assert CallBinder(scope["f"]).prompt_name == name


def test_named_prompt_wins():
    def ask(prompt: str, system: str): ...

    assert text_of(ask, "p", "s") == "p"
    assert text_of(ask, "p", "s", prompt="system") == "s"


def test_the_only_string_parameter_is_the_prompt():
    def ask(count: int, topic: str, deep: bool = False): ...

    assert text_of(ask, 3, "cats") == "cats"


def test_annotations_as_text_and_with_notes():
    def one(count: "int", topic: "str"): ...
    def two(count: int, topic: Annotated[str, "what"]): ...
    def three(count: "Missing", topic: "str"): ...  # noqa: F821

    for function in (one, two, three):
        assert CallBinder(function).prompt_name == "topic"


def test_a_single_parameter_is_the_prompt():
    def ask(it): ...

    assert text_of(ask, "x") == "x"


def test_keyword_only_and_positional_only_prompts():
    def keyword(*, model="m", question): ...
    def positional(query, /, model="m"): ...

    assert text_of(keyword, question="q") == "q"
    assert text_of(positional, "q", "l") == "q"


def test_prompt_out_of_the_keywords():
    def ask(**options): ...

    binder = CallBinder(ask, prompt="prompt")
    assert binder.bind((), {"prompt": "q", "model": "m"}).text == "q"
    assert binder.bind((), {"prompt": "q", "model": "m"}) != binder.bind((), {"prompt": "q", "model": "l"})
    assert binder.bind((), {"model": "m"}).text == ""


def nameless(a: str, b: str): ...
def numbers(a: int, b: int): ...
def nothing(): ...


@pytest.mark.parametrize("function", [nameless, numbers, nothing])
def test_a_function_without_a_telling_prompt_is_a_type_error_that_says_how(function):
    with pytest.raises(TypeError, match=r'cannot tell which parameter of .* is the prompt: name it with prompt="'):
        CallBinder(function)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"prompt": "nope"}, "prompt='nope'"),
        ({"prompt": 3}, "prompt=3"),
        ({"ignore": ["nope"]}, "ignore='nope'"),
        ({"ignore": [3]}, "ignore="),
        ({"scope": {"client": object()}}, "scope"),
    ],
)
def test_bad_options_are_named(options, named):
    def ask(prompt, model="m"): ...

    with pytest.raises(TypeError, match=named):
        CallBinder(ask, **options)


def test_arguments_that_do_not_fit_are_left_to_the_function():
    def ask(prompt): ...

    with pytest.raises(BadCall, match="unexpected keyword"):
        CallBinder(ask).bind(("x",), {"model": 1})


# ---------------------------------------------------------------------------------- prompts


def test_messages_become_text_and_scope():
    def ask(messages, model="m"): ...

    binder = CallBinder(ask)
    system = {"role": "system", "content": "s"}
    turn = {"role": "user", "content": "q"}
    one = binder.bind(([system, turn],), {})
    other = binder.bind(([turn],), {})
    assert one.text == other.text == "q"
    assert one.scope_hash != other.scope_hash
    assert binder.bind(([turn],), {}) == other


def test_other_prompts_match_exactly_only():
    def ask(prompt): ...

    binder = CallBinder(ask)
    for value in (None, 3, b"bytes", ["a"], {"a": 1}):
        assert binder.bind((value,), {}).text == ""
        assert binder.bind((value,), {}) == binder.bind((value,), {})
    assert binder.bind((["a"],), {}) != binder.bind((["b"],), {})
    assert binder.bind((None,), {}) != binder.bind(("",), {})


def test_a_string_enum_is_its_text():
    import enum

    class Question(str, enum.Enum):
        WHY = "Why?"

    def ask(prompt): ...

    assert CallBinder(ask).bind((Question.WHY,), {}).text == "Why?"


def test_normalizer_comes_before_both_tiers():
    def ask(prompt): ...

    binder = CallBinder(ask, normalizer=str.lower)
    assert binder.bind(("WHAT",), {}) == binder.bind(("what",), {})
    assert binder.bind(("WHAT",), {}).text == "what"


def test_key_func_gives_the_key():
    def ask(prompt, client): ...

    binder = CallBinder(ask, key_func=lambda prompt, client: prompt[:1])
    assert binder.bind(("abc", object()), {}).key == binder.bind(("axx", object()), {}).key
    assert binder.bind(("abc", object()), {}).key != binder.bind(("xbc", object()), {}).key
    with pytest.raises(CacheKeyError, match=r"key_func of .* returned int"):
        CallBinder(ask, key_func=lambda prompt, client: 3).bind(("abc", 1), {})


def test_error_names_the_argument_and_the_function():
    def ask(prompt, client): ...

    with pytest.raises(CacheKeyError, match=r"argument 'client' of .*ask\(\) is a builtins.object") as caught:
        CallBinder(ask).bind(("x", object()), {})
    assert isinstance(caught.value, TypeError)


# ------------------------------------------------- what a call shares with another, as a rule


def everything(prompt, a=1, /, b: object = "b", *args, c=None, **rest): ...


def keyed(prompt, model="m", *, temperature=0.0): ...


simple = st.sampled_from([0, 1, True, False, 1.0, 0.0, "1", "", "b", b"b", None, float("inf")])
nested = simple | st.lists(simple, max_size=2) | st.dictionaries(st.sampled_from("xy"), simple, max_size=2)
prompts = st.sampled_from(["p", "q", "p ", "", None, 1, True])
calls = st.tuples(
    st.lists(nested, max_size=4),
    st.dictionaries(st.sampled_from(["b", "c", "a", "prompt", "x", "args", "rest"]), nested, max_size=3),
)


def exactly(value):
    if isinstance(value, (list, tuple)):
        return type(value), tuple(map(exactly, value))
    if isinstance(value, dict):
        return dict, frozenset((key, exactly(item)) for key, item in value.items())
    return type(value), value


def asked(function, args, kwargs):
    """What a call asks, spelled out: the cleaned prompt and every other argument with its type."""
    bound = inspect.signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    values = dict(bound.arguments)
    prompt = values.pop("prompt")
    return exactly(prompt.strip() if isinstance(prompt, str) else prompt), exactly(values)


def fits(function, args, kwargs):
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except TypeError:
        return False
    return True


pairs = st.lists(st.tuples(prompts, calls), min_size=2, max_size=5)


@given(pairs)
def test_two_calls_share_an_answer_exactly_when_their_arguments_are_equal(several):
    binder = CallBinder(everything)
    made = [((prompt, *args), kwargs) for prompt, (args, kwargs) in several]
    made = [call for call in made if fits(everything, *call)]
    for one in made:
        for other in made:
            shared = binder.bind(*one).key == binder.bind(*other).key
            assert shared == (asked(everything, *one) == asked(everything, *other)), (one, other)


class Bot:
    def __init__(self, system, depth):
        self.system, self.depth = system, depth

    def ask(self, prompt, model="m", **rest): ...


class ScopedBot(Bot):
    def __cache_scope__(self):
        return (self.system,)


class SlotBase:
    __slots__ = ("system",)


class SlotBot(SlotBase):
    def __init__(self, system, depth):
        self.system, self.depth = system, depth


class DictBot(dict):
    def __init__(self, system, depth):
        super().__init__(system=system)
        self.depth = depth


TENANT = {"tenant": "a"}
binders = {
    "function": (CallBinder(keyed), False),
    "scope from a callable": (CallBinder(keyed, scope=lambda: TENANT["tenant"]), False),
    "scope in a mapping": (CallBinder(keyed, scope=TENANT), False),
    "method": (CallBinder(Bot.ask), True),
    "method, ignoring self": (CallBinder(Bot.ask, ignore=("self",)), True),
    "prompt normalized": (CallBinder(keyed, normalizer=str.casefold), False),
}
steps = st.tuples(
    st.sampled_from(sorted(binders)),
    st.sampled_from([Bot, ScopedBot, SlotBot, DictBot]),
    simple,
    simple,
    simple,
    st.lists(simple | st.just([1]), min_size=1, max_size=2),
    st.dictionaries(st.sampled_from(["temperature", "model"]), simple, max_size=2),
)


@given(st.lists(steps, min_size=1, max_size=12))
def test_the_memo_never_disagrees_with_binding(sequence):
    for which, kind, system, depth, tenant, args, kwargs in sequence:
        binder, is_method = binders[which]
        TENANT["tenant"] = tenant
        call = ((kind(system, depth), *args) if is_method else tuple(args), kwargs)
        if not fits(binder.function, *call):
            continue
        recalled = binder.recall(*call)
        bound = binder.bind(*call)
        assert recalled is None or (recalled == bound and recalled.scope_hash == bound.scope_hash)
        again = binder.recall(*call)
        assert again is None or again == bound


def test_the_memo_answers_where_all_is_plain():
    for which in binders:
        binder, is_method = binders[which]
        call = ((Bot("s", 1), "p") if is_method else ("p",), {"model": "l"})
        bound = binder.bind(*call)
        assert binder.recall(*call) == bound, which


def test_the_memo_stays_small():
    binder = CallBinder(keyed)
    for i in range(5000):
        binder.bind((f"p{i}",), {})
    assert len(binder._memo) <= 4096
    binder.bind(("x" * 10_000,), {})
    assert binder.recall(("x" * 10_000,), {}) is None


# ------------------------------------------------------ what functions bring along themselves


def test_partials_count_what_they_hold():
    def ask(tenant, prompt, *, model="m", **rest): ...

    keys = {
        CallBinder(functools.partial(ask, tenant, **kwargs)).bind(("q",), {}).key
        for tenant in ("a", "b")
        for kwargs in ({}, {"model": "l"}, {"seed": 1})
    }
    assert len(keys) == 6
    ignoring = [CallBinder(functools.partial(ask, tenant), ignore=["tenant"]) for tenant in ("a", "b")]
    assert ignoring[0].bind(("q",), {}) == ignoring[1].bind(("q",), {})
    nested = [CallBinder(functools.partial(functools.partial(ask, tenant), model="l")) for tenant in ("a", "b")]
    assert nested[0].bind(("q",), {}) != nested[1].bind(("q",), {})


def test_bound_methods_and_callable_objects_count_what_they_belong_to():
    class Model:
        def __init__(self, name):
            self.name = name

        def __call__(self, prompt): ...
        def ask(self, prompt): ...

    def make(name):
        model = Model(name)
        return [CallBinder(model), CallBinder(model.ask), CallBinder(functools.partial(model.ask))]

    for one, same, other in zip(make("a"), make("a"), make("b"), strict=True):
        for _ in range(2):  # the second time from the memo where there is one
            keys = [(binder.recall(("q",), {}) or binder.bind(("q",), {})).key for binder in (one, same, other)]
            assert keys[0] == keys[1] != keys[2]
    ignoring = [CallBinder(Model(name).ask, ignore=["self"]).bind(("q",), {}) for name in "ab"]
    assert ignoring[0] == ignoring[1]


def test_ignoring_the_catch_all_ignores_all_it_catches():
    def ask(prompt, *args, **rest): ...

    binder = CallBinder(ask, ignore=("rest", "args"))
    assert binder.bind(("q",), {"client": object()}) == binder.bind(("q", object()), {})
    named = CallBinder(ask, ignore="trace")
    assert named.bind(("q",), {"trace": object()}) == named.bind(("q",), {})
    assert named.bind(("q",), {"trace": 1, "seed": 1}) != named.bind(("q",), {})


def test_a_script_is_known_by_its_file(tmp_path):
    import subprocess
    import sys

    code = (
        "from semantic_llm_cache.keys.binding import CallBinder\n"
        "def ask(prompt): ...\n"
        "if __name__ == '__main__': print(CallBinder(ask).name)\n"
    )
    names = []
    for name in ("one.py", "two.py"):
        (tmp_path / name).write_text(code)
        for argv in ([str(tmp_path / name)], ["-m", name[:3]]):
            out = subprocess.run([sys.executable, *argv], cwd=tmp_path, capture_output=True, text=True, check=True)
            names.append(out.stdout.strip())
    assert names == ["one.ask", "one.ask", "two.ask", "two.ask"]
