"""Pairs of things that act (functions, locks, files) or pretend to be something else. Each maker returns a new pair."""

import collections
import concurrent.futures
import enum
import functools
import io
import itertools
import logging
import operator
import pathlib
import queue
import re
import threading
import types
import weakref

from attack_values import tagged

PAIRS = {}


# ---------------------------------------------------------------- functions and what behaves like one


def _closure(tenant):
    def headers(*_):
        return tenant

    return headers


def _default(tenant):
    def headers(*_, tenant=tenant):
        return tenant

    return headers


def _keyword_default(tenant):
    def headers(*_, tenant):
        return tenant

    headers.__kwdefaults__ = {"tenant": tenant}
    return headers


def _attribute(tenant):
    def headers(*_):
        return headers.tenant

    headers.tenant = tenant
    return headers


def _wrapped(tenant):
    @functools.wraps(len)
    def headers(*_):
        return tenant

    return headers


class Caller:
    def __init__(self, tenant):
        self.tenant = tenant

    def __call__(self, *_):
        return self.tenant

    def method(self, *_):
        return self.tenant


class SlottedCaller:
    __slots__ = ("__tenant",)

    def __init__(self, tenant):
        self.__tenant = tenant

    def __call__(self, *_):
        return self.__tenant


def _nested(tenant):
    inner = _closure(tenant)

    def headers(*_):
        return inner()

    return headers


def _in_loop():
    made = []
    for tenant in ("a", "b"):
        made.append(lambda tenant=tenant: tenant)
    return tuple(made)


PAIRS |= {
    "lambdas": lambda: (lambda: "a", lambda: "b"),
    "closures": lambda: (_closure("a"), _closure("b")),
    "nested closures": lambda: (_nested("a"), _nested("b")),
    "closures over objects": lambda: (_closure(Caller("a")), _closure(Caller("b"))),
    "defaults": lambda: (_default("a"), _default("b")),
    "keyword defaults": lambda: (_keyword_default("a"), _keyword_default("b")),
    "attributes of functions": lambda: (_attribute("a"), _attribute("b")),
    "wrapped functions": lambda: (_wrapped("a"), _wrapped("b")),
    "lambdas of a loop": _in_loop,
    "partials": lambda: (functools.partial(print, "a"), functools.partial(print, "b")),
    "partials of closures": lambda: (functools.partial(_closure("a")), functools.partial(_closure("b"))),
    "bound methods": lambda: (Caller("a").method, Caller("b").method),
    "callable objects": lambda: (Caller("a"), Caller("b")),
    "callable objects with slots": lambda: (SlottedCaller("a"), SlottedCaller("b")),
    "built-in functions": lambda: (len, sum),
    "methods of built-in values": lambda: ("a".join, "b".join),
    "getters": lambda: (operator.attrgetter("a"), operator.attrgetter("b")),
    "item getters": lambda: (operator.itemgetter(0), operator.itemgetter(1)),
    "method callers": lambda: (operator.methodcaller("f", "a"), operator.methodcaller("f", "b")),
    "cached closures": lambda: (functools.lru_cache(_closure("a")), functools.lru_cache(_closure("b"))),
    "dispatchers": lambda: (functools.singledispatch(_closure("a")), functools.singledispatch(_closure("b"))),
    "static methods": lambda: (staticmethod(_closure("a")), staticmethod(_closure("b"))),
    "properties": lambda: (property(_closure("a")), property(_closure("b"))),
}

# ---------------------------------------------------------------- what runs, waits or refers


def _generator(tenant):
    yield tenant


def _local(tenant):
    made = threading.local()
    made.tenant = tenant
    return made


def _filled(kind, tenant):
    made = kind()
    made.put(tenant)
    return made


def _done(tenant):
    made = concurrent.futures.Future()
    made.set_result(tenant)
    return made


_KEPT = {}


def _reference(tenant):
    target = _KEPT.setdefault(tenant, Caller(tenant))
    return weakref.ref(target)


PAIRS |= {
    "iterators": lambda: (iter(["a"]), iter(["b"])),
    "generators": lambda: (_generator("a"), _generator("b")),
    "maps": lambda: (map(str, ["a"]), map(str, ["b"])),
    "endless iterators": lambda: (itertools.repeat("a"), itertools.repeat("b")),
    "text files": lambda: (io.StringIO("a"), io.StringIO("b")),
    "byte files": lambda: (io.BytesIO(b"a"), io.BytesIO(b"b")),
    "thread's own values": lambda: (_local("a"), _local("b")),
    "weak references": lambda: (_reference("a"), _reference("b")),
    "weak proxies": lambda: (weakref.proxy(_reference("a")()), weakref.proxy(_reference("b")())),
    "weak sets": lambda: (weakref.WeakSet([_reference("a")()]), weakref.WeakSet([_reference("b")()])),
    "weak dicts": lambda: (
        weakref.WeakValueDictionary(x=_reference("a")()),
        weakref.WeakValueDictionary(x=_reference("b")()),
    ),
    "weak methods": lambda: (
        weakref.WeakMethod(_reference("a")().method),
        weakref.WeakMethod(_reference("b")().method),
    ),
    "queues": lambda: (_filled(queue.Queue, "a"), _filled(queue.Queue, "b")),
    "simple queues": lambda: (_filled(queue.SimpleQueue, "a"), _filled(queue.SimpleQueue, "b")),
    "futures": lambda: (_done("a"), _done("b")),
    "logger adapters": lambda: (
        logging.LoggerAdapter(logging.getLogger("x"), {"tenant": "a"}),
        logging.LoggerAdapter(logging.getLogger("x"), {"tenant": "b"}),
    ),
}

for _base, *_arguments in (
    (logging.Logger, "x"), (logging.Handler,), (threading.Thread,), (threading.Event,), (threading.Semaphore,),
    (threading.Condition,), (threading.local,), (queue.Queue,), (concurrent.futures.Future,),
    (concurrent.futures.ThreadPoolExecutor, 1), (weakref.WeakSet,),
):  # fmt: skip
    PAIRS[f"attribute of a subclass of {_base.__name__}"] = tagged(_base, *_arguments)

# ---------------------------------------------------------------- objects that pretend


class Pretender:
    """Says that it is something else."""

    pretends = object

    def __init__(self, tenant):
        self.tenant = tenant

    def __str__(self):
        return "the same"

    __repr__ = __str__

    def __eq__(self, other):
        return True

    def __hash__(self):
        return 1

    @property
    def __class__(self):
        return type(self).pretends


def _pretenders(kind, **more):
    made = type("Pretender", (Pretender,), {"pretends": kind, **more})
    return lambda: (made("a"), made("b"))


for _kind, _more in (
    (str, {}),
    (int, {}),
    (dict, {"items": lambda self: ()}),
    (list, {"__iter__": lambda self: iter(()), "__len__": lambda self: 0}),
    (enum.Enum, {"name": "A", "value": 1}),
    (pathlib.PurePosixPath, {}),
    (types.SimpleNamespace, {}),
    (collections.deque, {"__iter__": lambda self: iter(()), "__len__": lambda self: 0}),
    (re.Pattern, {"pattern": "a", "flags": 0}),
    (type, {"__qualname__": "A"}),
    (type(None), {}),
):
    PAIRS[f"pretends to be {_kind.__name__}"] = _pretenders(_kind, **_more)


class SaysYes(type):
    def __getattr__(cls, name):
        return lambda *_: "the same"


class Agreeable(metaclass=SaysYes):
    def __init__(self, tenant):
        self.tenant = tenant

    def __getattr__(self, name):
        if name.startswith("__") and name not in ("__cache_scope__", "__fields__"):
            raise AttributeError(name)
        return lambda *_: "the same"


PAIRS["has every attribute"] = lambda: (Agreeable("a"), Agreeable("b"))


class FakeOpenAIClient:
    """Named and placed as a class that a registry may know."""

    def __init__(self, tenant):
        self.tenant = tenant


def _misplaced(module, name):
    kind = type(name, (FakeOpenAIClient,), {})
    kind.__module__ = module
    return lambda: (kind("a"), kind("b"))


for _module, _name in (
    ("httpx", "URL"), ("yarl", "URL"), ("openai", "NotGiven"), ("openai", "Omit"), ("anthropic._types", "NotGiven"),
    ("logging", "Logger"), ("threading", "Lock"), ("_thread", "lock"), ("zoneinfo", "ZoneInfo"),
    ("datetime", "timezone"), ("semantic_llm_cache.engine.engine", "SemanticCache"), ("numpy", "ndarray"),
    ("pydantic", "SecretStr"), ("builtins", "ellipsis"), ("pathlib", "PurePath"), ("decimal", "Decimal"),
):  # fmt: skip
    PAIRS[f"calls itself {_module}.{_name}"] = _misplaced(_module, _name)
