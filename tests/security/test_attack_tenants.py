"""Tenants who interleave at random over one backend: whatever they do, nobody gets another's answer.

The embedder gives every text one vector and there are no guards, so that inside a scope everything is a near hit:
the scope alone keeps tenants apart.
"""

import asyncio
import contextlib
import tempfile
from contextvars import ContextVar
from pathlib import Path

import pytest
from attack_tools import model
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from semantic_llm_cache import CacheContext, Request, SemanticCache, clear_cache, invalidate, report_right, report_wrong
from semantic_llm_cache.backends import MemoryBackend, SQLiteBackend

TENANTS = ["a", "b", "a:b", "a\u200b", ""]
TEXTS = ["How do I reset my password?", "How can I reset my password?", "tenant b"]
NAMESPACES = [None, None, "a", "b"]

tenants = st.sampled_from(TENANTS)
texts = st.sampled_from(TEXTS)
namespaces = st.sampled_from(NAMESPACES)
places = st.sampled_from(["argument", "self", "scope", "request", "stream", "other process"])
callers = st.tuples(places, tenants, texts, namespaces)


class Failure(Exception):
    """What the model raises when it is told to."""


def one_vector(text):
    return [1.0, 0.0, 0.0]


NOW = {"fails": False}
"""Whether the model fails. A global, as `model` is: what a function holds in its closure is part of its key."""
TENANT = ContextVar("tenant")


def answer(place, tenant):
    if NOW["fails"]:
        raise Failure
    return f"{place}|{tenant}|{model()}"


class Bot:
    def __init__(self, tenant):
        self.config = {"tenant": [tenant]}


def doors_of(engine):
    """Return the engine and four doors to it, each of which knows its tenant in another way."""

    @engine.cache
    async def by_argument(prompt: str, tenant: str):
        await asyncio.sleep(0)
        return answer("argument", tenant)

    class Asking(Bot):
        @engine.cache
        async def by_self(self, prompt: str):
            await asyncio.sleep(0)
            return answer("self", self.config["tenant"][0])

    @engine.cache(scope=lambda: {"tenant": TENANT.get()})
    async def by_scope(prompt: str):
        await asyncio.sleep(0)
        return answer("scope", TENANT.get())

    @engine.cache
    async def by_stream(prompt: str, tenant: str):
        for _ in range(2):
            await asyncio.sleep(0)
            yield answer("stream", tenant)

    return engine, by_argument, Asking, by_scope, by_stream


class Tenants(RuleBasedStateMachine):
    @initialize(
        on_disk=st.booleans(),
        flight=st.sampled_from(["process", "shared"]),
        stale=st.booleans(),
        bounded=st.booleans(),
    )
    def begin(self, on_disk, flight, stale, bounded):
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory() if on_disk else None
        self.now = 1_700_000_000.0
        self.last = []
        NOW["fails"] = False
        options = {"embedder": one_vector, "guards": None, "ttl": 60, "clock": lambda: self.now}
        options |= {"single_flight": flight, "on_event": self.last.append}
        options |= {"max_error": 0.2, "seed": 1} if bounded else {"similarity": 0.9}
        options |= {"stale_if_error": 600, "stale_while_revalidate": 30} if stale else {}
        first = self.backend()
        # Two backends on one file stand for two processes.
        self.backends = [first, self.backend() if on_disk else first]
        self.doors = [doors_of(SemanticCache(made, **options)) for made in self.backends]

    def backend(self):
        return SQLiteBackend(Path(self.folder.name) / "cache.db") if self.folder else MemoryBackend()

    async def ask(self, place, tenant, text, namespace):
        engine, by_argument, bot, by_scope, by_stream = self.doors[place == "other process"]
        with contextlib.nullcontext() if namespace is None else CacheContext(namespace=namespace):
            if place == "self":
                return await bot(tenant).by_self(text)
            if place == "scope":
                TENANT.set(tenant)
                return await by_scope(text)
            if place == "stream":
                return "".join([chunk async for chunk in by_stream(text, tenant)])
            if place == "request":

                async def call():
                    return answer("request", tenant)

                return await engine.get_or_call(Request("n", {"tenant": tenant}, text), call)
            return await by_argument(text, tenant)

    def check(self, place, tenant, answer):
        owner = "argument" if place == "other process" else place
        parts = answer.split("answer")[:-1]
        assert parts, answer
        assert parts[0] == f"{owner}|{tenant}|", f"{place} of {tenant!r} got {answer!r}"
        assert all(f"{owner}|{tenant}|" in part for part in parts), answer

    def run(self, work):
        return self.loop.run_until_complete(asyncio.wait_for(work, 20))

    async def checked(self, caller):
        place, tenant, text, namespace = caller
        try:
            self.check(place, tenant, await self.ask(place, tenant, text, namespace))
        except Failure:
            pass

    @rule(caller=callers)
    def asks(self, caller):
        self.run(self.checked(caller))

    @rule(callers=st.lists(callers, min_size=2, max_size=5))
    def ask_at_once(self, callers):
        async def together():
            await asyncio.gather(*(self.checked(caller) for caller in callers))

        self.run(together())

    @rule(seconds=st.sampled_from([1, 61, 100, 1000]))
    def time_passes(self, seconds):
        self.now += seconds

    @rule(fails=st.booleans())
    def the_model_fails(self, fails):
        NOW["fails"] = fails

    @rule(right=st.booleans())
    def somebody_reports_the_last_hit(self, right):
        for found in self.last[-1:]:
            if found.hit:
                self.run((report_right if right else report_wrong)(found))

    @rule(tenant=tenants, text=texts)
    def somebody_invalidates(self, tenant, text):
        self.run(self.doors[0][1].cache_invalidate(text, tenant))

    @rule(pattern=st.sampled_from(["password", "%", "Python"]))
    def somebody_invalidates_a_pattern(self, pattern):
        self.run(invalidate(pattern, backend=self.backends[0]))

    @rule(namespace=namespaces)
    def somebody_clears(self, namespace):
        self.run(clear_cache(namespace, backend=self.backends[1]))

    def teardown(self):
        if hasattr(self, "backends"):
            left = asyncio.all_tasks(self.loop)
            for task in left:
                task.cancel()
            if left:
                self.loop.run_until_complete(asyncio.wait(left))
            for made in {id(made): made for made in self.backends}.values():
                self.run(made.close())
            self.loop.close()
        if getattr(self, "folder", None):
            self.folder.cleanup()
        del self.doors, self.backends, self.last  # hypothesis keeps the machine


Tenants.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
TestTenants = pytest.mark.filterwarnings("ignore::semantic_llm_cache.exceptions.CacheWarning")(Tenants.TestCase)
