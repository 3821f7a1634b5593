"""Who may use the admin API: the token, this machine alone without one, and no page of another site."""

import pytest
from admin_helpers import TOKEN, client

from semantic_llm_cache.server.access import COOKIE, Access, check_exposure, is_loopback
from semantic_llm_cache.server.operator import Operator

PATH = "/admin/stats"
OTHER_SITE = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}


@pytest.fixture
def operator():
    return Operator("memory://")


async def status(opened, method="GET", path=PATH, **headers):
    async with opened:
        body = {"pattern": "x"} if method == "POST" else None
        reply = await opened.request(method, path, json=body, headers=headers)
    if reply.status_code >= 400:
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.json()["status"] == reply.status_code
    return reply.status_code


async def test_the_token_is_needed(operator):
    assert await status(client(operator)) == 200
    assert await status(client(operator, "another-token-of-length")) == 401
    assert await status(client(operator, None)) == 401
    assert await status(client(operator, None), authorization=f"Basic {TOKEN}") == 401
    assert await status(client(operator, None), authorization="Bearer ") == 401
    assert await status(client(operator, None), authorization=f"Bearer {TOKEN}\xe9".encode("latin-1")) == 401
    assert await status(client(operator), path="/admin/openapi.json") == 200
    assert await status(client(operator, None), path="/admin/openapi.json") == 401
    assert await status(client(operator, address=("203.0.113.7", 1))) == 200


async def test_health_and_readiness_need_none(operator):
    far = ("203.0.113.7", 1)
    for path in ("/admin/health", "/admin/ready"):
        assert await status(client(operator, None, address=far), path=path) == 200
        assert await status(client(operator, None, address=far, access=None), path=path) == 200


@pytest.mark.parametrize(
    ("address", "headers", "expected"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("203.0.113.7", {}, 403),
        ("", {}, 403),
        ("127.0.0.1", {"x-forwarded-for": "127.0.0.1"}, 403),
        ("127.0.0.1", {"forwarded": "for=127.0.0.1"}, 403),
        ("127.0.0.1", {"x-forwarded-proto": "https"}, 403),
        ("127.0.0.1", {"cf-connecting-ip": "127.0.0.1"}, 403),
        ("127.0.0.1", {"host": "evil.example"}, 403),
        ("127.0.0.1", {"host": "127.0.0.1.evil.example"}, 403),
        ("127.0.0.1", {"host": "127.0.0.1:8080"}, 200),
        ("127.0.0.1", {"host": "[::1]:8080"}, 200),
        ("127.0.0.1", {"host": ""}, 403),
        ("127.0.0.1", {"host": "[oops"}, 403),
        ("127.0.0.1", OTHER_SITE, 403),
        ("127.0.0.1", {"origin": "null"}, 403),
        ("127.0.0.1", {"origin": "http://localhost"}, 200),
        ("127.0.0.1", {"origin": "http://localhost:81"}, 403),
        ("127.0.0.1", {"sec-fetch-site": "same-site"}, 403),
        ("127.0.0.1", {"sec-fetch-site": "same-origin"}, 200),
    ],
)
async def test_without_a_token_only_this_machine_is_served(operator, address, headers, expected):
    opened = client(operator, None, access=None, address=(address, 1) if address else None)
    assert await status(opened, "POST", "/admin/invalidate", **headers) == expected


async def test_a_cookie_is_as_good_as_the_token_for_pages_of_this_server(operator):
    rules = Access({"ann": TOKEN, "ben": TOKEN[::-1]})
    value = rules.session(TOKEN[::-1])
    assert TOKEN[::-1] not in value
    cookies = {"cookie": f"{COOKIE}={value}"}
    for headers, expected in (
        ({}, 200), (OTHER_SITE, 403), ({"origin": "https://localhost"}, 200), ({"origin": "null"}, 403)
    ):  # fmt: skip
        got = await status(client(operator, None, access=rules), "POST", "/admin/invalidate", **cookies, **headers)
        assert got == expected, headers
    visit = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert await status(client(operator, None, access=rules), **cookies, **visit) == 200
    assert await status(client(operator, None, access=rules), "POST", "/admin/invalidate", **cookies, **visit) == 403
    assert await status(client(operator, None, access=rules), cookie=f"{COOKIE}={value[:-1]}") == 401
    assert rules.session("wrong") is None


async def test_names_of_the_server_may_be_fixed(operator):
    rules = Access(TOKEN, hosts=["cache.example"])
    assert await status(client(operator, access=rules), host="cache.example:8443") == 200
    assert await status(client(operator, access=rules), host="evil.example") == 403


async def test_the_audit_log_names_the_token(operator):
    rules = Access({"ann": TOKEN, "ben": TOKEN[::-1]})
    async with client(operator, TOKEN[::-1], access=rules) as opened:
        await opened.post("/admin/invalidate", json={"pattern": "x", "dry_run": False})
        [record] = (await opened.get("/admin/audit")).json()["records"]
    assert record["who"] == "ben from 127.0.0.1"
    assert record["new"] == {"pattern": "x"}


@pytest.mark.parametrize("token", ["", "short", "with a space in it, long", "ümlaut-in-a-long-token", "x" * 20 + "\n"])
def test_weak_tokens_are_refused(token):
    with pytest.raises(ValueError, match="16 or more"):
        Access(token)


def test_a_server_that_others_reach_needs_a_token():
    for host in ("0.0.0.0", "::", "192.168.0.7", "cache.example", ""):
        with pytest.raises(ValueError, match="need a token"):
            check_exposure(host, Access())
        check_exposure(host, Access(TOKEN))
    for host in ("127.0.0.1", "localhost", "::1", "[::1]", "127.9.9.9", "::ffff:127.0.0.1"):
        assert is_loopback(host)
        check_exposure(host, Access())
