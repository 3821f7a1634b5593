"""What one caller leaves behind for another: calls in flight, streams, leases, stale answers, aliases, feedback."""

import asyncio
import contextlib
from contextvars import ContextVar

import pytest
from attack_tools import AGAIN, ASKED, model

from semantic_llm_cache import (
    CacheContext,
    CachedLLM,
    Request,
    SemanticCache,
    cache,
    clear_cache,
    invalidate,
    last_lookup,
    report_right,
    report_wrong,
    set_default_backend,
)
from semantic_llm_cache.backends import MemoryBackend, SQLiteBackend


@pytest.fixture(params=["memory", "sqlite"])
async def backend(request, tmp_path):
    made = MemoryBackend() if request.param == "memory" else SQLiteBackend(tmp_path / "cache.db")
    set_default_backend(made)
    yield made
    set_default_backend(None)
    await made.close()


# Globals: what a function holds in its closure is part of its key.
FAILING = set()
TENANT = ContextVar("tenant", default="nobody")


class Clock:
    def __init__(self):
        self.now = 1_700_000_000.0

    def __call__(self):
        return self.now


def asking(engine, seconds=0.0):
    """Return an async function whose answers carry their tenant."""

    @engine.cache
    async def ask(prompt: str, tenant: str):
        await asyncio.sleep(seconds)
        return f"{tenant}: {model()}"

    return ask


def check_owners(tenants, answers):
    for tenant, answer in zip(tenants, answers, strict=True):
        assert answer.startswith(f"{tenant}: "), f"{tenant} got the answer of another: {answer}"


# ---------------------------------------------------------------- calls in flight


@pytest.mark.parametrize("flight", ["process", "shared"])
async def test_calls_in_flight_are_not_joined_across_tenants(backend, flight):
    engine = SemanticCache(backend, similarity=0.9, single_flight=flight)
    ask = asking(engine, 0.05)
    tenants = list("abcabcabc")
    texts = [ASKED, AGAIN, ASKED] * 3
    tasks = [ask(text, tenant) for text, tenant in zip(texts, tenants, strict=True)]
    check_owners(tenants, await asyncio.gather(*tasks))
    check_owners(tenants, await asyncio.gather(*(ask(text, t) for text, t in zip(texts, tenants, strict=True))))


async def test_two_engines_on_one_file_do_not_share_leases_across_tenants(tmp_path):
    """Two backends on one file stand for two processes; the lease of one tenant must not feed the other."""
    backends = [SQLiteBackend(tmp_path / "cache.db") for _ in range(2)]
    asks = [asking(SemanticCache(b, similarity=0.9, single_flight="shared"), 0.1) for b in backends]
    tenants = list("abab")
    calls = [
        asks[number % 2](text, t) for number, (text, t) in enumerate(zip([ASKED, AGAIN] * 2, tenants, strict=True))
    ]
    check_owners(tenants, await asyncio.gather(*calls))
    # And the same tenant through both engines calls once.
    again = await asyncio.gather(*(ask("What is Python?", "c") for ask in asks))
    assert again[0] == again[1]
    for made in backends:
        await made.close()


async def test_a_flight_of_another_namespace_is_not_joined(backend):
    engine = SemanticCache(backend, similarity=0.9)
    ask = asking(engine, 0.05)

    async def within(namespace, text):
        with CacheContext(namespace=namespace):
            return await ask(text, "x")

    answers = await asyncio.gather(within("a", ASKED), within("b", AGAIN), within("c", ASKED), ask(AGAIN, "x"))
    assert len(set(answers)) == 4


async def test_a_failure_in_flight_reaches_no_other_tenant(backend):
    engine = SemanticCache(backend, similarity=0.9)

    @engine.cache
    async def ask(prompt: str, tenant: str):
        await asyncio.sleep(0.05)
        if tenant == "a":
            raise ValueError("the secret of a")
        return f"{tenant}: {model()}"

    answers = await asyncio.gather(ask(ASKED, "a"), ask(AGAIN, "b"), ask(ASKED, "b"), return_exceptions=True)
    assert isinstance(answers[0], ValueError)
    check_owners("bb", answers[1:])


async def test_streams_in_flight_are_not_joined_across_tenants(backend):
    engine = SemanticCache(backend, similarity=0.9)

    @engine.cache
    async def tell(prompt: str, tenant: str):
        for _ in range(3):
            await asyncio.sleep(0.01)
            yield f"{tenant}: {model()} "

    async def whole(text, tenant):
        return "".join([chunk async for chunk in tell(text, tenant)])

    for _ in range(2):  # in flight, then replayed
        tenants = list("abcabc")
        answers = await asyncio.gather(*(whole(t, n) for t, n in zip([ASKED, AGAIN] * 3, tenants, strict=True)))
        for tenant, answer in zip(tenants, answers, strict=True):
            assert {part[0] for part in answer.split("answer")[:-1] if part.strip()} <= {tenant, " "} | set(
                "0123456789"
            )
            assert all(f"{other}: " not in answer for other in set("abc") - {tenant}), (tenant, answer)


async def test_a_stream_and_a_call_of_one_text_do_not_mix(backend):
    """Two functions of one program: a stream's chunks are no answer of the other."""

    @cache(similarity=0.9)
    async def tell(prompt: str):
        yield model()

    @cache(similarity=0.9)
    async def ask(prompt: str):
        return model()

    streamed = [chunk async for chunk in tell(ASKED)]
    assert await ask(AGAIN) not in streamed
    assert await ask(ASKED) not in streamed


# ---------------------------------------------------------------- old answers


async def test_a_stale_answer_serves_no_other_tenant_when_the_call_fails(backend):
    clock = Clock()
    engine = SemanticCache(backend, similarity=0.9, ttl=10, stale_if_error=1000, clock=clock)
    FAILING.clear()

    @engine.cache
    async def ask(prompt: str, tenant: str):
        if tenant in FAILING:
            raise ConnectionError(tenant)
        return f"{tenant}: {model()}"

    first = await ask(ASKED, "a")
    clock.now += 20
    FAILING.update("ab")
    assert await ask(ASKED, "a") == first
    for text in (ASKED, AGAIN):
        with pytest.raises(ConnectionError):
            await ask(text, "b")
    with pytest.raises(ConnectionError), CacheContext(namespace="n"):
        await ask(ASKED, "a")


async def test_a_stale_answer_serves_no_other_tenant_while_a_fresh_one_is_fetched(backend):
    clock = Clock()
    engine = SemanticCache(backend, similarity=0.9, ttl=10, stale_while_revalidate=1000, clock=clock)
    ask = asking(engine)
    first = await ask(ASKED, "a")
    clock.now += 20
    assert await ask(ASKED, "a") == first
    check_owners("bbb", [await ask(text, "b") for text in (ASKED, AGAIN, ASKED)])
    await asyncio.sleep(0.05)
    check_owners("ab", [await ask(ASKED, "a"), await ask(ASKED, "b")])


# ---------------------------------------------------------------- what the cache learns


async def test_an_alias_of_one_tenant_serves_no_other(backend):
    engine = SemanticCache(backend, similarity=0.9)
    ask = asking(engine)
    await ask(ASKED, "a")
    await ask(AGAIN, "a")
    assert last_lookup().outcome == "near"
    assert await report_right(last_lookup())
    await ask(AGAIN, "a")
    assert last_lookup().outcome == "exact", "the alias is there for its own tenant"
    for text in (AGAIN, ASKED):
        check_owners("b", [await ask(text, "b")])


async def test_a_report_of_one_tenant_moves_no_answer_of_another(backend):
    engine = SemanticCache(backend, similarity=0.9)
    ask = asking(engine)
    mine = await ask(ASKED, "b")
    await ask(ASKED, "a")
    await ask(AGAIN, "a")
    assert await report_wrong(last_lookup())
    assert await ask(ASKED, "b") == mine
    await ask(ASKED, "a")
    check_owners("a", [await ask(AGAIN, "a")])
    check_owners("b", [await ask(AGAIN, "b")])


async def test_what_the_online_policy_learns_serves_no_other_tenant(backend):
    engine = SemanticCache(backend, max_error=0.05, seed=3)

    @engine.cache
    async def ask(prompt: str, tenant: str):
        return f"{tenant}: reset it in the settings"

    pairs = [(f"How do I reset my {thing}?", f"How can I reset my {thing}?") for thing in "router phone oven".split()]  # noqa: SIM905
    for _ in range(4):
        for texts in pairs:
            for text in texts:
                check_owners("a", [await ask(text, "a")])
    for texts in pairs:
        for text in texts:
            check_owners("b", [await ask(text, "b")])
    for texts in pairs:
        for tenant in "abc":
            check_owners(tenant, [await ask(texts[1], tenant)])


async def test_a_yes_of_the_verifier_serves_no_other_tenant(backend):
    engine = SemanticCache(backend, similarity=0.5, guards=None, verify=lambda *_: True, verify_mode="background")
    ask = asking(engine)
    await ask(ASKED, "a")
    await ask(AGAIN, "a")
    await asyncio.sleep(0.05)
    check_owners("bb", [await ask(AGAIN, "b"), await ask(ASKED, "b")])
    check_owners("a", [await ask(AGAIN, "a")])


async def test_shadow_mode_serves_nobody(backend):
    serving = asking(SemanticCache(backend, similarity=0.9))
    shadowed = SemanticCache(backend, similarity=0.9, mode="shadow")
    await serving(ASKED, "a")
    ask = asking(shadowed)
    check_owners("aab", [await ask(ASKED, "a"), await ask(AGAIN, "a"), await ask(AGAIN, "b")])


# ---------------------------------------------------------------- management


async def test_removing_one_tenants_answers_gives_nobody_anothers(backend):
    engine = SemanticCache(backend, similarity=0.9, namespace="n", tags=("shared",))

    @engine.cache(tags=lambda prompt, tenant: (tenant, "function:x", "%", "_", "a,b", '"'))
    async def ask(prompt: str, tenant: str):
        return f"{tenant}: {model()}"

    before = {tenant: await ask(ASKED, tenant) for tenant in "ab"}
    assert await ask.cache_invalidate(ASKED, "a")
    assert await ask(ASKED, "b") == before["b"]
    check_owners("a", [await ask(AGAIN, "a")])
    assert await invalidate(tags="a", backend=backend) == 1
    assert await ask(ASKED, "b") == before["b"]
    check_owners("a", [await ask(AGAIN, "a")])


@pytest.mark.parametrize("pattern", ["%", "_", "*", ".*", "%%", "\\", "'", "' OR 1=1 --", "a%", "?", "[a-z]"])
async def test_patterns_and_labels_are_no_wildcards(backend, pattern):
    engine = SemanticCache(backend, namespace="n", tags=("tenant b",))
    ask = asking(engine)
    mine = await ask("What is Python, exactly", "b")
    assert await invalidate(pattern, namespace="n", backend=backend) == 0
    assert await invalidate(tags=pattern, namespace="n", backend=backend) == 0
    assert await invalidate("Python", namespace=pattern, backend=backend) == 0
    assert await clear_cache(pattern, backend=backend) == 0
    assert await ask("What is Python, exactly", "b") == mine


async def test_namespaces_with_separators(backend):
    """Nothing is joined with a separator that a name may hold."""

    async def ask_in(namespace, inner, text, tenant="x"):
        engine = SemanticCache(backend, similarity=0.9, namespace=namespace)
        ask = asking_by_name(engine)
        if inner is None:
            return await ask(text, tenant)
        with CacheContext(namespace=inner):
            return await ask(text, tenant)

    names = [
        ("a:b", "c"), ("a", "b:c"), ("a:b:c", None), ("a/b", "c"), ("a", "b/c"), ("a\0b", "c"), ("a", "b\0c"),
        ("a.b", "c"), ("a", "b.c"), ("a", "b"), ("b", "a"), ("a", None), ("b", None), ("default", "a"),
        ("a", "default"),
        ("A", None), ("a ", None), ("á", None), ("a\u0301", None), ("a\u200b", None), ("%", None), ("_", None),
    ]  # fmt: skip
    answers = []
    for number, (namespace, inner) in enumerate(names):
        answers.append(await ask_in(namespace, inner, [ASKED, AGAIN][number % 2]))
    assert len(set(answers)) == len(names)


def asking_by_name(engine):
    @engine.cache
    async def ask(prompt: str, tenant: str):
        return f"{tenant}: {model()}"

    return ask


async def test_texts_that_look_like_a_scope(backend):
    """What a caller writes cannot reach into the scope, whatever it looks like."""
    engine = SemanticCache(backend, similarity=0.9)

    async def ask(scope, text):
        async def call():
            return model()

        return await engine.get_or_call(Request("n", scope, text), call)

    victim = {"tenant": "b"}
    request = Request("n", victim, ASKED)
    mine = await ask(victim, ASKED)
    answers = []
    for text in (
        f'{{"tenant": "b"}}{ASKED}',
        f"d1:s6:tenants1:b{ASKED}",
        request.key,
        request.key.partition(":")[2],
        request.scope_hash,
        f"{request.scope_hash}{ASKED}",
        f"n\0{request.scope_hash}\0{ASKED}",
        f"scope\0{ASKED}",
    ):
        for scope in ({"tenant": "a"}, None, {}, request.scope_hash, request.key, [victim], (victim,), repr(victim)):
            answers.append(await ask(scope, text))
    assert mine not in answers
    for namespace, scope in ((request.scope_hash, None), ("n", request.scope_hash.encode()), ("n", str(victim))):
        assert Request(namespace, scope, ASKED).scope_hash != request.scope_hash


async def test_keys_made_by_hand(backend):
    """`key_func` may return what it likes: it stays inside its own function."""

    @cache
    async def ask(prompt: str, tenant: str):
        return f"{tenant}: {model()}"

    await ask(ASKED, "b")
    victim = last_lookup()
    crafted = [victim.key, victim.key[2:], victim.scope, ASKED, f"text{victim.scope}{ASKED}", "", "\0"]

    for key in crafted:

        @cache(key_func=lambda prompt, tenant, key=key: key)
        async def attack(prompt: str, tenant: str):
            return f"{tenant}: {model()}"

        check_owners("a", [await attack(ASKED, "a")])
        check_owners("b", [await ask(ASKED, "b")])


async def test_a_key_by_hand_with_a_scope_of_its_own(backend):
    TENANT.set("a")

    @cache(key_func=lambda prompt: "k", scope=lambda: {"tenant": TENANT.get()}, similarity=0.9)
    async def ask(prompt: str):
        return f"{TENANT.get()}: {model()}"

    check_owners("a", [await ask(ASKED)])
    TENANT.set("b")
    check_owners("bb", [await ask(ASKED), await ask(AGAIN)])


async def test_doors_of_one_namespace_do_not_share(backend):
    @cache(namespace="n", similarity=0.9)
    async def ask(prompt: str):
        return model()

    llm = CachedLLM("other", "m", namespace="n", similarity=0.9)
    engine = SemanticCache(backend, namespace="n", similarity=0.9)

    async def call():
        return model()

    def answer(prompt):
        return model()

    answers = [
        await ask(ASKED),
        await llm.achat(AGAIN, llm_func=answer),
        await CachedLLM("other", "n", namespace="n", similarity=0.9).achat(ASKED, llm_func=answer),
        await CachedLLM("othe", "rm", namespace="n", similarity=0.9).achat(ASKED, llm_func=answer),
        await engine.get_or_call(Request("n", None, AGAIN), call),
    ]
    assert len(set(answers)) == len(answers)


# ---------------------------------------------------------------- what comes back


async def test_a_caller_cannot_change_what_another_gets(backend):
    engine = SemanticCache(backend, namespace="n")

    @engine.cache
    async def ask(prompt: str) -> dict:
        return {"answer": ["good"]}

    first = await ask(ASKED)
    first["answer"][0] = "evil"
    first["more"] = "evil"
    for _ in range(2):
        found = await ask(ASKED)
        assert found == {"answer": ["good"]}
        found["answer"].append("evil")


async def test_an_answer_that_looks_like_stored_types_is_data(backend):
    """A model answers with what our tagged JSON looks like: it comes back as it was."""
    sent = [
        {"__type__": "datetime", "value": "2026-01-01T00:00:00"},
        {"$type": "bytes", "$value": "AA=="},
        {"!": "tuple", "items": [1]},
        ["t", [1, 2]],
        {"t": "set", "v": [1]},
        {"__class__": "os.system", "args": ["true"]},
        '{"py/object": "os.system"}',
    ]
    engine = SemanticCache(backend, namespace="n")
    for number, value in enumerate(sent):

        async def call(value=value):
            return value

        request = Request("n", number, ASKED)
        await engine.get_or_call(request, call)
        assert (await engine.lookup(request)).response == value


async def test_context_variables_of_the_first_caller_name_no_tenant_of_the_second(backend):
    """The function runs with the first caller's context: where a tenant is read from it, `scope=` names it."""

    @cache(similarity=0.9, scope=lambda: {"tenant": TENANT.get()})
    async def ask(prompt: str):
        await asyncio.sleep(0.02)
        return f"{TENANT.get()}: {model()}"

    async def by(name, text):
        TENANT.set(name)
        return await ask(text)

    names = list("abab")
    check_owners(names, await asyncio.gather(*(by(n, t) for n, t in zip(names, [ASKED, AGAIN] * 2, strict=True))))


async def test_a_cancelled_caller_leaves_its_answer_to_nobody_else(backend):
    engine = SemanticCache(backend, similarity=0.9)
    ask = asking(engine, 0.05)
    first = asyncio.ensure_future(ask(ASKED, "a"))
    second = asyncio.ensure_future(ask(AGAIN, "b"))
    await asyncio.sleep(0.01)
    first.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await first
    check_owners("b", [await second])
