"""What the httpx transports count beside the request itself: extensions, and the transport that sends it."""

import json

import httpx
import httpx2
import pytest

from semantic_llm_cache import SemanticCache
from semantic_llm_cache.engine.driving import drive_blocking
from semantic_llm_cache.integrations.httpx import CachingTransport, wrap

BODY = {"model": "m", "messages": [{"role": "user", "content": "How do I reset my password?"}]}
CLIENTS = [httpx, httpx2]


def ask(client, server, **options):
    calls = server.calls
    reply = client.post(f"{server.url}/v1/chat/completions", json=BODY, **options)
    assert reply.status_code == 200
    assert reply.headers.get("x-cache", "MISS") in ("HIT" if server.calls == calls else "MISS", "BYPASS")
    return server.calls == calls


@pytest.fixture
def cache():
    return SemanticCache("memory://")


@pytest.mark.parametrize("module", CLIENTS)
def test_an_extension_that_is_not_known_bypasses(server, cache, module, caplog):
    with module.Client(transport=CachingTransport(cache=cache)) as client:
        ask(client, server)
        assert ask(client, server, timeout=7)
        for _ in range(2):
            assert not ask(client, server, extensions={"target": b"/v1/chat/completions"})
            assert not ask(client, server, extensions={"sni_hostname": "other"})
    assert len(caplog.messages) == 2


@pytest.mark.parametrize("module", CLIENTS)
def test_header_values_that_are_different_bytes_count(server, cache, module):
    with module.Client(transport=CachingTransport(cache=cache)) as client:
        for value in (b"\xe9", b"\xc3\xa9"):
            assert not ask(client, server, headers=[(b"x-tenant", value)])


@pytest.mark.parametrize("module", CLIENTS)
def test_a_host_header_counts(server, cache, module):
    with module.Client(transport=CachingTransport(cache=cache)) as client:
        ask(client, server)
        assert ask(client, server, headers={"host": server.url.removeprefix("http://")})
        assert not ask(client, server, headers={"host": "tenant-a"})


@pytest.mark.parametrize("module", CLIENTS)
def test_plain_transports_share_and_those_with_a_proxy_or_an_address_do_not(server, cache, module):
    def transport(**options):
        return CachingTransport(module.HTTPTransport(**options), cache=cache)

    made = [
        transport(),
        transport(local_address="127.0.0.1"),
        transport(local_address="127.0.0.2"),
        transport(proxy=module.Proxy(server.url)),
        transport(proxy=module.Proxy(server.url, auth=("a", "b"))),
        transport(proxy=module.Proxy(server.url, auth=("a", "c"))),
        transport(uds="/tmp/a"),
    ]

    def key_of(each):
        return drive_blocking(each._plan(request(module, server), json.dumps(BODY).encode())).request.key

    keys = [key_of(each) for each in made]
    assert len(set(keys)) == len(keys)
    again = transport(retries=3, limits=module.Limits(max_connections=7), http2=False)
    assert key_of(again) == keys[0]
    by_default = CachingTransport(cache=cache)
    assert key_of(by_default) == keys[0]


def request(module, server):
    return module.Request("POST", f"{server.url}/v1/chat/completions", json=BODY)


class Signing(httpx.BaseTransport):
    """A transport that adds a credential below the cache."""

    def __init__(self, tenant):
        self.tenant = tenant

    def handle_request(self, request):
        request.headers["authorization"] = f"Bearer {self.tenant}"
        with httpx.HTTPTransport() as inner:
            response = inner.handle_request(request)
            response.read()
            return response


class Opaque(Signing):
    """One with a state that nobody can read."""

    def __init__(self, tenant):
        super().__init__("k")
        self.rows = iter([tenant])


def test_a_transport_of_ones_own_counts_by_what_it_holds(server, cache):
    for tenant, hit in (("a", False), ("b", False), ("a", True)):
        with httpx.Client(transport=CachingTransport(Signing(tenant), cache=cache)) as client:
            assert ask(client, server) is hit


def test_one_that_cannot_be_read_keeps_its_answers_to_itself(server, cache, caplog):
    for _ in range(2):
        with wrap(httpx.Client(transport=Opaque("a")), cache=cache) as client:
            assert not ask(client, server)
            assert ask(client, server)
    assert "scope=" in caplog.text
    for hit in (False, True):
        with wrap(httpx.Client(transport=Opaque("a")), cache=cache, scope={"tenant": 1}) as client:
            assert ask(client, server) is hit
