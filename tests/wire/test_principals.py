"""`principal=`: who asks, where the credential rotates or is shared; and requests that name no model."""

import contextvars
import json

import httpx
import openai
import pytest
from test_door import Provider, ask
from test_formats import made

from semantic_llm_cache import cache, last_lookup
from semantic_llm_cache.exceptions import CacheKeyError
from semantic_llm_cache.integrations.httpx import CachingTransport
from semantic_llm_cache.integrations.openai import wrap
from semantic_llm_cache.wire import WireCache

URL = "http://host/v1/chat/completions"
USER = contextvars.ContextVar("user", default=None)


def body(**more):
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], **more}).encode()


def key(door, token="t", url=URL, **headers):
    sent = [("Authorization", f"Bearer {token}"), *((name.replace("_", "-"), value) for name, value in headers.items())]
    made = door.plan_or_reason("POST", url, sent, body())
    return made if isinstance(made, str) else made.request.key


def by_user(sent):
    return sent.headers.get("x-user")


@pytest.mark.parametrize(
    "principal", ["billing", lambda: "billing", lambda sent: "billing"], ids=["text", "none", "one"]
)
def test_a_principal_takes_the_place_of_a_credential_that_rotates(principal):
    door = WireCache(backend="memory://", principal=principal)
    assert key(door, "monday") == key(door, "tuesday")
    assert key(door, url=f"{URL}?api-key=1") == key(door, url=f"{URL}?api-key=2")
    assert key(door, x_tenant="1") != key(door, x_tenant="2")
    assert key(door) != key(WireCache(backend="memory://", principal="sales"))
    assert key(door) != key(WireCache(backend="memory://", share_across_keys=True))


def test_callers_with_other_principals_do_not_share_though_they_send_one_credential():
    door = WireCache(backend="memory://", principal=USER.get)
    found = set()
    for user in ("ann", "bob", None):  # the same bytes each time
        token = USER.set(user)
        found.add(key(door))
        USER.reset(token)
    assert len(found) == 3


@pytest.mark.parametrize("nobody", [None, "", "  "])
def test_without_a_principal_the_credential_counts(nobody):
    door, plain = WireCache(backend="memory://", principal=lambda: nobody), WireCache(backend="memory://")
    assert key(door, "monday") != key(door, "tuesday")
    assert key(door, "monday") == key(plain, "monday")


@pytest.mark.parametrize("wrong", [7, b"ann", ["ann"]])
def test_who_is_not_known_does_not_share_but_bypasses(wrong, caplog):
    def raises():
        raise LookupError("ann's secret")

    async def late():
        return "ann"

    for principal in (raises, lambda: wrong, lambda: late()):
        door = WireCache(backend="memory://", principal=principal)
        for _ in range(2):
            assert key(door).startswith("bypass: principal= r")
    assert len(caplog.messages) == 3
    assert "secret" not in caplog.text


def test_a_callable_that_takes_the_request_gets_its_address_and_headers():
    seen = []
    door = WireCache(backend="memory://", principal=lambda sent: seen.append(sent) or "ann")
    key(door, "t", X_User="1", x_user="2")
    assert (seen[0].url, seen[0].headers) == (URL, {"authorization": "Bearer t", "x-user": "1, 2"})
    door = WireCache(backend="memory://", principal=by_user)
    assert key(door, "a", x_user="1") == key(door, "b", x_user="1") != key(door, "b", x_user="2")


def test_what_cannot_be_a_principal_is_refused():
    async def late():
        return "ann"

    for wrong in (7, late, object()):
        with pytest.raises(TypeError, match="principal="):
            WireCache(principal=wrong)
    for wrong in ("", " ", lambda a, b: "x", lambda *, a: "x"):
        with pytest.raises(ValueError, match="principal="):
            WireCache(principal=wrong)


def test_an_instance_that_holds_a_client_counts_by_who_asks():
    class Bot:
        def __init__(self, principal):
            self.transport = CachingTransport(httpx.HTTPTransport(), principal=principal)

        @cache(backend="memory://")
        def ask(self, prompt: str):
            return prompt

    bot = Bot(USER.get)
    made = []
    for user in ("ann", "bob"):
        token = USER.set(user)
        bot.ask("hi")
        made.append(last_lookup().scope)
        USER.reset(token)
    assert made[0] != made[1]

    def raises():
        raise LookupError

    with pytest.raises(CacheKeyError, match="principal="):
        Bot(raises).ask("hi")


def test_an_azure_token_that_rotates_keeps_the_cache_warm(monkeypatch):
    answer = made("openai.chat", False)
    calls = []

    def handle(request):
        calls.append((request.url.path, request.headers["authorization"]))
        return httpx.Response(200, json=answer)

    tokens = iter("abcdef")
    http_client = openai.DefaultHttpxClient(transport=_transport(handle))
    client = openai.AzureOpenAI(
        azure_endpoint="https://x.openai.azure.com", api_version="1", azure_ad_token_provider=lambda: next(tokens),
        http_client=http_client,
    )  # fmt: skip
    with wrap(client, backend="memory://", principal="our service") as wrapped:
        for _ in range(3):
            wrapped.chat.completions.create(model="d", messages=[{"role": "user", "content": "hi"}])
    assert calls == [("/openai/deployments/d/chat/completions", "Bearer a")]


def _transport(handle):
    module = __import__(openai.DefaultHttpxClient.__mro__[1].__module__.partition(".")[0])
    if module is httpx:
        return httpx.MockTransport(handle)
    return module.MockTransport(lambda request: module.Response(200, json=handle(request).json()))


# ------------------------------------------------------------------------------ no model in the body


def test_requests_that_name_no_model_are_cached_by_address_and_body():
    door = WireCache(backend="memory://")
    asked = {"messages": [{"role": "user", "content": "hi"}]}

    def plan(path, given):
        made = door.plan("POST", f"http://host{path}", [], json.dumps(given).encode())
        return made.request.key, made.settings.own_tags

    azure = "/openai/deployments/{}/chat/completions"
    keys = {plan(azure.format(name), asked)[0] for name in "ab"}
    keys |= {plan("/v1/chat/completions", {**asked, **more})[0] for more in ({}, {"model": None}, {"model": "m"})}
    assert len(keys) == 5
    assert plan("/v1/chat/completions", asked)[1] == ()
    assert plan("/v1/chat/completions", {**asked, "model": "m"})[1] == ("model:m",)
    prompts = [{"prompt": {"id": name, "variables": {"city": city}}} for name in "ab" for city in "xy"]
    prompts.append({**prompts[0], "input": None})
    assert len({plan("/v1/responses", prompt)[0] for prompt in prompts}) == 5
    assert not door.plan("POST", "http://host/v1/responses", [], json.dumps(prompts[0]).encode()).asked.near


def test_a_server_with_one_model_is_answered_from_the_cache():
    data = json.dumps(made("openai.chat", False)).encode()
    provider, door = Provider(data), WireCache(backend="memory://")
    outcomes = [ask(door, provider, "openai.chat", False, model=None)[2]["x-cache"] for _ in range(2)]
    assert outcomes == ["MISS", "HIT"]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("raises", "scope= raised LookupError"),
        (
            "object",
            "scope= holds a value that cannot be compared: give texts, numbers, or lists and mappings of them",
        ),
    ],
)
def test_a_scope_that_cannot_be_used_says_so(kind, reason, caplog):
    def raises():
        raise LookupError("ann's secret")

    door = WireCache(backend="memory://", scope=raises if kind == "raises" else lambda: {"ann's secret": object()})
    for _ in range(2):
        assert key(door) == f"bypass: {reason}"
    assert caplog.messages == [f"semantic-llm-cache: a request bypasses the cache: {reason}"]
    assert "secret" not in caplog.text
