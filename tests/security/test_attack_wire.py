"""Requests on the wire that differ in one place: a header, a cookie, an address, a field of the body."""

import asyncio
import json
from random import Random

import anthropic
import httpx
import httpx2
import ollama
import openai
import pytest
from attack_tools import AGAIN, ASKED, user
from wire_provider import provider

from semantic_llm_cache import SemanticCache
from semantic_llm_cache.integrations import anthropic as anthropic_door
from semantic_llm_cache.integrations import ollama as ollama_door
from semantic_llm_cache.integrations import openai as openai_door
from semantic_llm_cache.integrations.httpx import AsyncCachingTransport, CachingTransport, wrap


@pytest.fixture(scope="module")
def running():
    with provider() as found:
        # Else each answer waits 40 ms for the client's acknowledgement of its headers.
        found.RequestHandlerClass = type("Prompt", (found.RequestHandlerClass,), {"disable_nagle_algorithm": True})
        yield found


@pytest.fixture
def server(running):
    running.seen.clear()
    return running


def body(text=ASKED, **more):
    return {"model": "m", "messages": user(text), **more}


@pytest.fixture
def http(server):
    with httpx.Client(transport=CachingTransport(similarity=0.9), base_url=server.url) as client:
        yield client


def post(client, text=ASKED, path="/v1/chat/completions", **request):
    if "content" not in request and "json" not in request:
        request["json"] = body(text)
    return client.post(path, **request)


def check_apart(server, *sends):
    """Send one request after another: each must reach the provider, whatever was stored before."""
    leaked = []
    for number, send in enumerate(sends):
        before = server.calls
        send()
        if server.calls == before:
            leaked.append(number)
    assert leaked == [], "these callers, counted from 0, got another's answer"


# ---------------------------------------------------------------- headers

IDENTITIES = """
x-forwarded-user x-forwarded-email x-forwarded-groups x-forwarded-preferred-username x-forwarded-access-token
x-forwarded-client-cert x-forwarded-host x-forwarded-prefix x-forwarded-uri x-forwarded-tenant x-forwarded-for-user
x-auth-request-user x-auth-request-email x-auth-request-access-token x-authenticated-user remote-user x-remote-user
x-client-cert x-client-dn x-ssl-client-cert x-ssl-client-s-dn ssl-client-subject-dn cf-access-jwt-assertion
cf-access-authenticated-user-email cf-access-client-id cf-access-client-secret x-goog-authenticated-user-email
x-goog-authenticated-user-id x-goog-iap-jwt-assertion x-goog-user-project x-amzn-oidc-identity x-amzn-oidc-data
x-amzn-oidc-accesstoken x-amz-security-token x-amz-date x-amzn-tenant x-ms-client-principal x-ms-client-principal-id
x-ms-client-principal-name x-ms-token-aad-access-token x-tenant x-tenant-id x-org-id x-user x-customer x-account
x-project x-workspace x-session x-role x-scope x-portkey-virtual-key x-portkey-config helicone-user-id
helicone-property-tenant cf-aig-metadata openai-organization openai-project openai-beta anthropic-beta
anthropic-version x-cache-tenant x-cache-user x-cache-key x-cache-control-user sec-tenant sec-user
sec-websocket-protocol x-stainless-tenant x-stainless-user x-b3-tenant x-datadog-tenant x-datadog-user
newrelic-tenant accept-language accept-tenant accept-user accept-version authorization proxy-authorization x-api-key
api-key x-goog-api-key x-functions-key apikey from x-email x-username x-user-agent-id via-tenant forwarded-user
host-tenant origin-tenant date-tenant te-tenant x-real-ip-user x-real-user x-request-id-user x-correlation-id-tenant
idempotency-key-tenant x-cloud-trace-context-tenant x-amzn-trace-id-user baggage prefer x-http-method-override
""".split()  # noqa: SIM905


@pytest.mark.parametrize("name", IDENTITIES)
def test_headers_that_may_name_a_caller(name, server, http):
    sends = [{}, {name: "a"}, {name: "b"}]
    check_apart(server, *(lambda headers=headers: post(http, headers=headers) for headers in sends))
    again = {name: "a"}
    post(http, headers=again)
    assert server.calls == 3, "the same caller has an answer already"
    post(http, AGAIN, headers={name: "c"})
    assert server.calls == 4, "an answer of another caller was near enough"


def test_unknown_headers_whatever_their_name(server, http):
    """Names drawn at random, with the beginnings and ends of neutral ones among them."""
    draw = Random(7)
    parts = ("x-forwarded", "sec", "x-cache", "x-stainless", "accept", "cf", "x-b3", "x-datadog", "trace", "request")
    parts += ("id", "for", "by", "user", "org")
    names = {"-".join(draw.choices(parts, k=draw.randint(2, 4))) for _ in range(120)}
    known = {"x-request-id", "request-id", "x-forwarded-for", "x-forwarded-by", "x-b3-id", "x-cache-for"}
    calls = 0
    for name in sorted(names - known):
        for value in ("a", "b"):
            post(http, headers={name: value})
            calls += 1
            assert server.calls == calls, name


def test_virtual_hosts(server, http):
    check_apart(server, *(lambda host=host: post(http, headers={"host": host}) for host in ("a.test", "b.test")))


COOKIES = """
session sid connect.sid _session_id laravel_session JSESSIONID token jwt auth user tenant CF_Authorization
CF_AppSession cf_session cf_user _cf_tenant __cf_user cf_tenant __cfsession __cf_access _oauth2_proxy
AWSELBAuthSessionCookie-0 GCP_IAAP_AUTH_TOKEN mod_auth_openidc_session __Host-session __Secure-id
""".split()  # noqa: SIM905


@pytest.mark.parametrize("name", COOKIES)
def test_cookies_that_may_name_a_caller(name, server, http):
    sends = [f"{name}=a", f"{name}=b", f"{name}=a; other=1", f"other={name}=a"]
    check_apart(server, *(lambda value=value: post(http, headers={"cookie": value}) for value in sends))


def test_cookies_in_a_jar(server):
    with (
        httpx.Client(cookies={"session": "a"}) as one,
        httpx.Client(cookies={"session": "b"}) as other,
    ):
        clients = [wrap(one, similarity=0.9), wrap(other, similarity=0.9)]
        check_apart(server, *(lambda c=c: post(c, path=f"{server.url}/v1/chat/completions") for c in clients))


def test_repeated_headers(server, http):
    sends = [
        [("x-tenant", "a"), ("x-tenant", "b")],
        [("x-tenant", "b"), ("x-tenant", "a")],
        [("x-tenant", "a")],
        [("x-tenant", "a"), ("x-tenant-b", "")],
        [("x-tenant", "a\tb")],
    ]
    check_apart(server, *(lambda headers=headers: post(http, headers=headers) for headers in sends))


# ---------------------------------------------------------------- addresses


def test_addresses_that_look_alike(server, http):
    paths = [
        "",
        "?tenant=a",
        "?tenant=b",
        "?t=a&t=b",
        "?t=b&t=a",
        "?t=a%26t%3Db",
        "?t=a;t=b",
        "?t=",
        "?T=a",
        "?api-key=a",
        "?api-key=b",
        "?sig=a&api-version=1",
        "?sig=b&api-version=1",
        "?subscription-key=a",
        "?subscription-key=b",
        "?a=1&b=2&a=3",
        "?a=3&b=2&a=1",
        "?%00=a",
    ]
    check_apart(server, *(lambda path=path: post(http, path=f"/v1/chat/completions{path}") for path in paths))


def test_users_in_an_address(server):
    with httpx.Client(transport=CachingTransport(similarity=0.9)) as client:
        place = server.url.removeprefix("http://")
        urls = [f"http://{user}@{place}/v1/chat/completions" for user in ("a:x", "b:x", "a:y", "a")]
        check_apart(server, *(lambda url=url: post(client, path=url) for url in urls))


# ---------------------------------------------------------------- bodies

BODIES = [
    {},
    {"user": "a"},
    {"user": "b"},
    {"metadata": {"tenant": "a"}},
    {"metadata": {"tenant": "b"}},
    {"prompt_cache_key": "a"},
    {"safety_identifier": "a"},
    {"service_tier": "flex"},
    {"store": True},
    {"unknown": 1},
    {"unknown": 1.0},
    {"unknown": True},
    {"unknown": "1"},
    {"unknown": None},
    {"unknown": 2**53},
    {"unknown": 2**53 + 1},
    {"unknown": [1, 2]},
    {"unknown": [2, 1]},
    {"Temperature": 0.5},
    {"temperature": 0.5},
    {"model": "M"},
    {"model": "m "},
    {"model": "m\u200b"},
    {"logit_bias": {"1": 1}},
    {"logit_bias": {"1": -1}},
    {"stream_options": {"include_usage": False, "tenant": "a"}},
    {"web_search_options": {"user_location": {"country": "DE"}}},
    {"extra": {"tenant": "a", "stream": True}},
    {"extra": {"tenant": "b", "stream": True}},
]


def test_bodies_that_differ_in_one_field(server, http):
    check_apart(server, *(lambda more=more: post(http, json={**body(), **more}) for more in BODIES))


TURNS = [
    [{"type": "text", "text": ASKED}],
    [{"type": "text", "text": ASKED, "citations": ["a"]}],
    [{"type": "text", "text": ASKED, "citations": ["b"]}],
    [{"type": "text", "text": ASKED, "tenant": "a"}],
    [{"type": "text", "text": ASKED, "annotations": [{"url": "https://a.example"}]}],
    [{"type": "text", "text": ASKED, "images": ["a"]}],
    [{"type": "text", "text": ASKED, "cache_control": {"type": "ephemeral"}}],
    [{"type": "text", "text": ASKED}, {"type": "image_url", "image_url": {"url": "https://a.example/a.png"}}],
    [{"type": "text", "text": ASKED}, {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}],
    [{"type": "image_url", "image_url": {"url": "https://a.example/a.png"}}, {"type": "text", "text": ASKED}],
    [{"type": "text", "text": ASKED}, {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}],
    [{"type": "text", "text": ASKED}, {"type": "file", "file": {"file_id": "a"}}],
    [{"type": "text", "text": ASKED}, {"type": "unknown", "secret": "a"}],
]


def test_parts_of_a_text_that_differ_in_one_field(server, http):
    bodies = [{"model": "m", "messages": [{"role": "user", "content": content}]} for content in TURNS]
    # Anthropic's mark for its own cache does not change an answer: of that one pair either reading is right.
    bodies = [b for b in bodies if "cache_control" not in json.dumps(b)]
    check_apart(server, *(lambda sent=sent: post(http, json=sent) for sent in bodies))


MESSAGES = [
    [{"role": "user", "content": ASKED, "name": "a"}],
    [{"role": "user", "content": ASKED, "name": "b"}],
    [{"role": "user", "content": ASKED, "tenant": "a"}],
    [{"role": "user", "content": ASKED, "images": ["AA"]}],
    [{"role": "system", "content": "a"}, *user(ASKED)],
    [{"role": "system", "content": "b"}, *user(ASKED)],
    [{"role": "developer", "content": "a"}, *user(ASKED)],
    [{"role": "system", "content": "a", "name": "x"}, *user(ASKED)],
    [*user("a"), {"role": "assistant", "content": "b"}, *user(ASKED)],
    [*user("b"), {"role": "assistant", "content": "a"}, *user(ASKED)],
    [*user(ASKED), {"role": "assistant", "content": "b"}],
    [*user(ASKED), {"role": "assistant", "content": "c"}],
    [*user(ASKED), {"role": "tool", "content": "b", "tool_call_id": "1"}],
    [*user(ASKED), {"role": "tool", "content": "c", "tool_call_id": "1"}],
    [{"role": "User", "content": ASKED}],
    [{"content": ASKED}],
    [{"role": "user", "content": ASKED}, {"role": "system", "content": "a"}],
]


def test_messages_that_differ_in_one_field(server, http):
    bodies = [{"model": "m", "messages": messages} for messages in MESSAGES]
    check_apart(server, *(lambda sent=sent: post(http, json=sent) for sent in bodies))


RAW = [
    '{"model": "m", "messages": [{"role": "user", "content": "q"}]}',
    '{"model": "m", "model": "n", "messages": [{"role": "user", "content": "q"}]}',
    '{"model": "n", "model": "m", "messages": [{"role": "user", "content": "q"}]}',
    '{"model": "m", "messages": [{"role": "user", "content": "x"}], "messages": [{"role": "user", "content": "q"}]}',
    '{"model": "m", "messages": [{"role": "user", "content": "x", "content": "q"}]}',
    '{"model": "m", "messages": [{"role": "system", "role": "user", "content": "q"}]}',
    '{"model": "m", "user": "a", "messages": [{"role": "user", "content": "q"}], "user": "c"}',
    '{"model": "m", "user": "b", "messages": [{"role": "user", "content": "q"}], "user": "c"}',
    '{"model": "m", "x": {"t": "a", "t": "c"}, "messages": [{"role": "user", "content": "q"}]}',
    '{"model": "m", "x": {"t": "b", "t": "c"}, "messages": [{"role": "user", "content": "q"}]}',
    '{"model": "m", "x": 1, "messages": [{"role": "user", "content": "q"}]}',
    '{"model": "m", "x": 1.0, "messages": [{"role": "user", "content": "q"}]}',
    '{"model": "m", "x": 1e400, "messages": [{"role": "user", "content": "q"}]}',
    '{"model": "m", "x": NaN, "messages": [{"role": "user", "content": "q"}]}',
    '{"model": "m", "x": Infinity, "messages": [{"role": "user", "content": "q"}], "y": 1}',
    '{"model": "m", "x": 0.1, "messages": [{"role": "user", "content": "q"}]}',
    '{"model": "m", "x": 10000000000000000000000000000000000001, "messages": [{"role": "user", "content": "q"}]}',
    '{"model": "m", "x": 10000000000000000000000000000000000002, "messages": [{"role": "user", "content": "q"}]}',
    '{"model": "m", "x": "\\ud800", "messages": [{"role": "user", "content": "q"}]}',
    '{"model": "m", "x": "\\ufffd", "messages": [{"role": "user", "content": "q"}]}',
    '{"model": "m", "x": "?", "messages": [{"role": "user", "content": "q"}]}',
]


def test_bodies_as_bytes(server, http):
    check_apart(server, *(lambda raw=raw: post(http, content=raw.encode()) for raw in RAW))


def test_duplicate_names_bypass(server, http):
    for count, raw in enumerate([RAW[1], RAW[1], RAW[4], RAW[4], RAW[8], RAW[8]], 1):
        post(http, content=raw.encode())
        assert server.calls == count, "a body that two readers read in two ways was answered from the cache"


def test_streams_that_tell_other_things(server, http):
    def send(**more):
        with http.stream("POST", "/v1/chat/completions", json=body(stream=True, **more)) as response:
            response.read()
        return response.headers.get("x-cache")

    options = [{"include_usage": True, "tenant": "a"}, {"include_usage": True, "tenant": "b"}]
    check_apart(server, *(lambda option=option: send(stream_options=option) for option in options))


# ---------------------------------------------------------------- formats and doors


def test_formats_and_hosts_never_share(server, http):
    paths = ["/v1/chat/completions", "/v1/responses", "/v1/messages", "/api/chat", "/api/generate"]
    sent = body(input=ASKED, prompt=ASKED, stream=False, max_tokens=5)
    check_apart(server, *(lambda path=path: post(http, path=path, json=sent) for path in paths))
    with provider() as other:
        post(http, path=f"{other.url}/v1/chat/completions", json=sent)
        assert other.calls == 1


def _openai(server, **options):
    return openai_door.wrap(
        openai.OpenAI(**{"api_key": "k", "base_url": f"{server.url}/v1", **options}), similarity=0.9
    )


def _sign(tenant):
    def sign(request):
        request.headers["x-signed-by"] = tenant

    return sign


class Auth(httpx2.Auth):
    def __init__(self, tenant):
        self.tenant = tenant

    def auth_flow(self, request):
        request.headers["authorization"] = self.tenant
        yield request


class Keyed(httpx2.BaseTransport):
    """A transport below the cache that signs for a tenant, as gateways' SDKs do."""

    def __init__(self, tenant):
        self.tenant = tenant
        self.inner = httpx2.HTTPTransport()

    def handle_request(self, request):
        request.headers["x-signed-by"] = self.tenant
        return self.inner.handle_request(request)

    def close(self):
        self.inner.close()


OPENAI = {
    "key": lambda t: {"api_key": t},
    "key from a closure": lambda t: {"api_key": lambda: t},
    "organization": lambda t: {"organization": t},
    "project": lambda t: {"project": t},
    "header": lambda t: {"default_headers": {"x-tenant": t}},
    "header of a proxy": lambda t: {"default_headers": {"x-forwarded-user": t}},
    "query": lambda t: {"default_query": {"tenant": t}},
    "cookies": lambda t: {"http_client": httpx2.Client(cookies={"session": t})},
    "event hook": lambda t: {"http_client": httpx2.Client(event_hooks={"request": [_sign(t)]})},
    "auth": lambda t: {"http_client": httpx2.Client(auth=Auth(t))},
    "transport": lambda t: {"http_client": httpx2.Client(transport=Keyed(t))},
}


@pytest.mark.parametrize("name", OPENAI)
def test_openai_clients_that_differ_in_one_place(name, server):
    for text, calls in ((ASKED, 1), (AGAIN, 2)):
        with _openai(server, **OPENAI[name](f"tenant {calls}")) as client:
            client.chat.completions.create(model="m", messages=user(text))
        assert server.calls == calls, "one caller got another's answer"


ANTHROPIC = [
    {},
    {"system": "a"},
    {"system": [{"type": "text", "text": "a"}]},
    {"metadata": {"user_id": "a"}},
    {"metadata": {"user_id": "b"}},
    {"extra_headers": {"anthropic-beta": "a"}},
    {"extra_headers": {"x-forwarded-email": "a"}},
    {"extra_query": {"tenant": "a"}},
    {"extra_body": {"container": "a"}},
    {"extra_body": {"mcp_servers": [{"type": "url", "url": "https://x.example", "authorization_token": "a"}]}},
    {"extra_body": {"mcp_servers": [{"type": "url", "url": "https://x.example", "authorization_token": "b"}]}},
    {"extra_body": {"context_management": {"edits": []}}},
    {"thinking": {"type": "enabled", "budget_tokens": 1024}},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": ASKED, "citations": [{"a": 1}]}]}]},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": ASKED, "citations": [{"a": 2}]}]}]},
    {"messages": [*user(ASKED), {"role": "assistant", "content": "It is"}]},
    {"messages": [*user(ASKED), {"role": "assistant", "content": "It is not"}]},
]


def test_anthropic_calls_that_differ_in_one_place(server):
    client = anthropic_door.wrap(anthropic.Anthropic(api_key="k", base_url=server.url, max_retries=0), similarity=0.9)
    calls = [{"model": "m", "max_tokens": 10, "messages": user(ASKED), **more} for more in ANTHROPIC]
    check_apart(server, *(lambda call=call: client.messages.create(**call) for call in calls))
    client.close()


OLLAMA = [
    {},
    {"options": {"seed": 1}},
    {"options": {"num_ctx": 1}},
    {"think": True},
    {"format": {"type": "object"}},
    {"messages": [{"role": "user", "content": ASKED, "images": ["AAAA"]}]},
    {"messages": [{"role": "user", "content": ASKED, "images": ["AAAB"]}]},
    {"messages": [{"role": "system", "content": "a"}, *user(ASKED)]},
]


def test_ollama_calls_that_differ_in_one_place(server):
    clients = [ollama_door.wrap(ollama.Client(host=server.url, headers={"x-tenant": t}), similarity=0.9) for t in "ab"]
    calls = [{"model": "m", "messages": user(ASKED), **more} for more in OLLAMA]
    check_apart(server, *(lambda c=c, call=call: c.chat(**call) for call in calls for c in clients))
    for client in clients:
        client._client.close()


def test_clients_below_one_engine(server):
    """One engine for many tenants, as a program makes it: what differs is in the clients alone."""
    engine = SemanticCache("memory://", similarity=0.9)
    with provider() as other:
        makers = [
            lambda: httpx.Client(base_url=server.url),
            lambda: httpx.Client(base_url=server.url, headers={"x-tenant": "a"}),
            lambda: httpx.Client(base_url=server.url, cookies={"session": "a"}),
            lambda: httpx.Client(base_url=server.url, auth=("user", "a")),
            lambda: httpx.Client(base_url=server.url, params={"tenant": "a"}),
            lambda: httpx.Client(base_url=server.url, event_hooks={"request": [_sign("a")]}),
            lambda: httpx.Client(base_url=other.url),
        ]
        for number, make in enumerate(makers, 1):
            with make() as client:
                post(wrap(client, cache=engine), [ASKED, AGAIN][number % 2])
                assert server.calls + other.calls == number, number


async def test_async_clients_and_streams_joined_in_flight(server):
    """Two callers at once: the second must not join the stream of the first."""
    for stream in (False, True):
        # An engine for each: what was answered whole would be served as a stream, and no caller seen.
        door = AsyncCachingTransport(similarity=0.9, cache=SemanticCache("memory://"))
        async with httpx.AsyncClient(transport=door, base_url=server.url, timeout=20) as client:

            async def send(tenant, text, client=client, stream=stream):
                async with client.stream(
                    "POST",
                    "/v1/chat/completions",
                    json=body(text, stream=stream),
                    headers={"x-forwarded-user": tenant},
                ) as response:
                    return (await response.aread()).decode()

            server.seen.clear()
            answers = await asyncio.gather(*(send(tenant, text) for tenant in "abcd" for text in (ASKED, AGAIN, ASKED)))
            callers = {headers["x-forwarded-user"] for _, headers, _ in server.seen}
            assert callers == set("abcd")
            assert len(set(answers)) >= 4
