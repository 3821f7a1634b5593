"""What counts of headers and addresses: all but the exact names in the tables."""

import pytest

from semantic_llm_cache.wire import WireCache
from semantic_llm_cache.wire.neutral import CREDENTIALS, HEADERS, MEMBERS, VALUES, is_sdk_build
from semantic_llm_cache.wire.scoping import check_neutral_headers, scope_of_address, scope_of_headers
from semantic_llm_cache.wire.strict import Bypass

NONE = frozenset()

# Headers by which proxies and gateways tell a server who is calling, or which app or tenant it is.
IDENTITIES = [
    "x-forwarded-user", "x-forwarded-email", "x-forwarded-preferred-username", "x-forwarded-access-token",
    "x-forwarded-groups", "x-forwarded-client-cert", "x-forwarded-for", "x-forwarded-host", "x-auth-request-user",
    "x-auth-request-email", "cf-access-jwt-assertion", "cf-access-authenticated-user-email", "cf-connecting-ip",
    "x-goog-iap-jwt-assertion", "x-goog-authenticated-user-email", "x-amzn-oidc-identity", "x-amzn-oidc-data",
    "x-ms-client-principal", "x-ms-client-principal-id", "x-real-ip", "forwarded", "via", "referer", "origin",
    "sec-ch-ua", "sec-fetch-site", "sec-websocket-protocol", "sec-user", "x-cache-tenant", "x-cache-key",
    "accept-language", "accept-charset", "x-stainless-tenant", "x-stainless-helper", "x-datadog-origin", "x-b3-tenant",
    "x-correlation-id", "dnt", "priority", "cache-control", "pragma", "date", "expect", "te", "upgrade",
    "openai-organization", "openai-project", "anthropic-beta", "x-http-method-override", ":authority", ":path", "x-new",
]  # fmt: skip


def kept(*headers, share=False, neutral=NONE, host=None):
    return scope_of_headers(headers, share, neutral, host)


@pytest.mark.parametrize("name", IDENTITIES)
def test_headers_that_may_name_a_caller_count(name):
    one, other = kept((name, "a")), kept((name.upper(), "b"))
    assert list(one) == list(other) == [name]
    assert one != other
    assert kept((name, "a"), share=True) == one
    assert kept((name, "a"), neutral=frozenset({name})) == {}


def test_neutral_headers_do_not_count_and_every_one_has_its_reason():
    assert kept(*((name.title(), "x") for name in HEADERS)) == {}
    assert kept(*((name, value.upper()) for name, (values, _) in VALUES.items() for value in values)) == {}
    told = [*HEADERS.values(), *CREDENTIALS.values(), *(reason for _, reason in VALUES.values())]
    assert all(len(reason) > 8 for reason in told)
    assert not any("*" in name for name in (*HEADERS, *VALUES, *MEMBERS, *CREDENTIALS))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("connection", "close, x-tenant"),
        ("accept", "text/plain"),
        ("content-type", "text/plain"),
        ("transfer-encoding", "gzip, chunked"),
    ],
)
def test_a_value_that_is_not_listed_counts(name, value):
    assert list(kept((name, value))) == [name]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("content-encoding", "gzip"),
        ("content-encoding", "zstd"),
        ("content-type", "application/json; charset=latin-1"),
        ("Content-Type", "application/json;CHARSET=utf-16"),
    ],
)
def test_bodies_that_are_not_read_as_they_are_bypass(name, value):
    with pytest.raises(Bypass):
        kept((name, value))
    body = b'{"model": "m", "messages": [{"role": "user", "content": "hello"}]}'
    door = WireCache(backend="memory://")
    assert door.plan("POST", "http://h/v1/chat/completions", [(name, value)], body) is None
    assert door.plan("POST", "http://h/v1/chat/completions", [], body) is not None


def test_headers_of_one_name_keep_order_and_borders():
    found = [
        kept(("x-a", "1"), ("x-a", "2")),
        kept(("x-a", "2"), ("x-a", "1")),
        kept(("x-a", "1, 2")),
        kept(("x-a", "1")),
        kept(("x-a", "1"), ("x-a", "")),
    ]
    assert len({repr(each) for each in found}) == len(found)
    assert kept(("x-a", "1"), ("x-b", "2")) == kept(("x-b", "2"), ("x-a", "1"))


def test_a_host_header_counts_where_it_says_another_host_than_the_url():
    assert kept(("Host", "Gateway:8080"), host="gateway:8080") == {}
    assert list(kept(("host", "tenant-a"), host="gateway:8080")) == ["host"]
    door = WireCache(backend="memory://")
    body = b'{"model": "m", "messages": [{"role": "user", "content": "hello"}]}'

    def key(host):
        return door.plan("POST", "http://me:s3cret@gateway:8080/v1/chat/completions", host, body).request.key

    assert key([]) == key([("host", "gateway:8080")])
    assert len({key([("host", name)]) for name in ("a", "b", "gateway:8080", "gateway:8081")}) == 4


@pytest.mark.parametrize(
    "agent",
    [
        "OpenAI/Python 3.57.0", "AsyncOpenAI/Python 2.1.0rc1", "AsyncAnthropic/Python 2.14.0", "python-httpx/0.28.1",
        "python-httpx2/2.16.2", "ollama-python/0.6.3 (x86_64 linux) Python/3.11.7", "pydantic-ai/2.68.0",
    ],
)  # fmt: skip
def test_an_sdk_that_says_its_version_only_does_not_count(agent):
    assert is_sdk_build(agent)
    assert kept(("User-Agent", agent)) == {}


@pytest.mark.parametrize(
    "agent",
    ["billing/1.0", "OpenAI/Python 3.57.0 tenant-a", "OpenAI/Python tenant-a", "OpenAI/Python 1.2.tenant",
     "OpenAI/Python", "tenant-a OpenAI/Python 3.57.0", "", "python-httpx/0.28.1 (tenant a)", "Mozilla/5.0",
     "ollama-python/0.6.3 (x86_64 linux) Python/3.11.7 tenant"],
)  # fmt: skip
def test_an_agent_that_says_more_counts(agent):
    assert list(kept(("user-agent", agent))) == ["user-agent"]


@pytest.mark.parametrize("name", MEMBERS)
def test_members_are_left_out_by_exact_name_only(name):
    separator, neutral = MEMBERS[name]

    def said(*members):
        return kept((name, f"{separator} ".join(members)))

    assert said(*(f"{member}=1.a-b" for member in neutral)) == {}
    assert said() == {}
    base = said("tenant=a")
    assert base
    for member in neutral:
        assert said(f"{member}=1", "tenant=a", f"{member}=2") == base
        assert said(f"{member.swapcase()}=1", "tenant=a") != base
        assert said(f"{member}x=1", "tenant=a") != base
        assert said(member, "tenant=a") != base
        for hidden in (";tenant=b", ",tenant=b", " tenant=b", '"', "\t"):
            assert said(f"{member}=1{hidden}x", "tenant=a") != base
    assert said("tenant=a", "tenant=b") != said("tenant=b", "tenant=a")
    quoted = kept((name, f'x="{separator}{next(iter(neutral))}=1{separator}"'))
    assert quoted != kept((name, f'x="{separator}{next(iter(neutral))}=2{separator}"'))


@pytest.mark.parametrize(
    "cookie", ["CF_Authorization", "CF_AppSession", "cfduid", "cf_tenant", "__cf_tenant", "_cf", "id"]
)
def test_cookies_that_may_name_a_caller_count(cookie):
    assert kept(("cookie", f"{cookie}=a")) != kept(("cookie", f"{cookie}=b"))


def test_credentials_count_as_keyed_hashes_or_are_shared_by_exact_name():
    secret = [(name, "s3cret") for name in CREDENTIALS]
    found = kept(*secret)
    assert set(found) == set(CREDENTIALS)
    assert "s3cret" not in repr(found)
    assert kept(*secret, share=True) == {}
    for name in ("x-tenant-key", "x-session-token", "cf-access-jwt-assertion", "x-authenticated-user"):
        assert kept((name, "s3cret"), share=True) == kept((name, "s3cret"))
        assert "s3cret" not in repr(kept((name, "s3cret")))


@pytest.mark.parametrize("names", ["x-a", b"x-a", 7, None])
def test_neutral_headers_must_be_a_collection(names):
    with pytest.raises(TypeError, match="neutral_headers"):
        WireCache(backend="memory://", neutral_headers=names)


@pytest.mark.parametrize("name", ["", "x a", "x-a:", "x-\n", 7, "x-*é"])
def test_neutral_headers_must_be_names(name):
    with pytest.raises(ValueError, match="neutral_headers"):
        WireCache(backend="memory://", neutral_headers=[name])


@pytest.mark.parametrize("name", [*CREDENTIALS, "Authorization", "COOKIE"])
def test_credentials_are_not_declared_neutral(name):
    with pytest.raises(ValueError, match="share_across_keys"):
        check_neutral_headers({name})


def test_the_first_name_of_the_option_still_works():
    with pytest.warns(DeprecationWarning, match="neutral_headers"):
        door = WireCache(backend="memory://", ignore_headers=("X-Mine",), neutral_headers=("x-other",))
    assert door.neutral_headers == {"x-mine", "x-other"}


def test_addresses_count_as_they_are_written():
    urls = [
        "https://h/v1", "http://h/v1", "https://h:8443/v1", "https://g/v1", "https://h/V1", "https://h/v1/", "https://h//v1",
        "https://h/v1;t=a", "https://h/v1?a=1", "https://h/v1?a=1&a=2", "https://h/v1?a=2&a=1", "https://h/v1?a=", "https://h/v1?a",
        "https://h/v1?a=1&b=2", "https://h/v1?%61=1", "https://h/v1?a=+", "https://h/v1?a=%20", "https://h/v1?a=1&",
        "https://u@h/v1", "https://u:@h/v1", "https://:u@h/v1", "https://u:None@h/v1", "https://@h/v1", "https://u:p@h/v1",
        "https://[::1]:80/v1", "https://[::1:80]/v1",
    ]  # fmt: skip
    found = [repr(scope_of_address(url, False)) for url in urls]
    assert len(set(found)) == len(urls)
    assert scope_of_address("https://H/v1#a", False) == scope_of_address("https://h/v1", False)
    assert "s3cret" not in repr(scope_of_address("https://u:s3cret@h:8443/v1/x?key=s3cret&v=s3cret", False))


def test_only_exact_names_in_a_query_are_credentials():
    assert scope_of_address("https://h/v1/x?key=a", True) == scope_of_address("https://u:p@h/v1/x?key=b", True)
    for name in ("tenant_key", "Key", "k%65y", "signature", "user"):
        assert scope_of_address(f"https://h/?{name}=a", True) != scope_of_address(f"https://h/?{name}=b", True)


@pytest.mark.parametrize("url", ["http://h/v1\n/x", "http://h/\tv1", " http://h/v1", "http://h/v 1", "http://h/\x00"])
def test_urls_that_parsers_repair_bypass(url):
    with pytest.raises(Bypass):
        scope_of_address(url, False)
