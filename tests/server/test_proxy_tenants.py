"""Tenants: who shares answers with whom through the proxy, and what becomes of keys."""

import hashlib
import logging
import threading

import httpx
import pytest
from proxy_server import proxy

BODY = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


def digest(key):
    return hashlib.sha256(key.encode()).hexdigest()


def ask(running, path="/v1/chat/completions", body=None, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.post(f"{running.url}{path}", json=body or BODY, headers=headers)


def test_keys_do_not_share_answers(server):
    with proxy(server.url) as running:
        for headers in ({"authorization": "Bearer a"}, {"authorization": "Bearer b"}, {"x-api-key": "a"}, {}):
            for outcome in ("MISS", "HIT"):
                assert ask(running, **headers).headers["x-cache"] == outcome
    assert server.calls == 4
    assert [seen[1].get("authorization") for seen in server.seen] == ["Bearer a", "Bearer b", None, None]


def test_keys_of_one_tenant_share_answers_and_others_are_refused(server):
    tenants = {"red": {"keys_sha256": [digest("a1"), digest("a2")]}, "blue": {"keys_sha256": [digest("b")]}}
    with proxy(server.url, tenants=tenants, only_known_tenants=True) as running:
        assert ask(running, authorization="Bearer a1").headers["x-cache"] == "MISS"
        assert ask(running, x_api_key="a2").headers["x-cache"] == "HIT"
        assert ask(running, authorization="Bearer b").headers["x-cache"] == "MISS"
        for headers in ({"authorization": "Bearer other"}, {}, {"authorization": "Basic a1"}):
            refused = ask(running, **headers)
            assert refused.status_code == 401
            assert "not known here" in refused.json()["error"]["message"]
        assert httpx.get(f"{running.url}/v1/models").status_code == 401
    assert server.calls == 2


def test_a_header_names_the_tenant_only_behind_a_trusted_proxy(server):
    with proxy(server.url, tenant_header="X-Tenant", trusted_proxies=["127.0.0.0/8"]) as running:
        assert ask(running, x_tenant="red", authorization="Bearer a").headers["x-cache"] == "MISS"
        assert ask(running, x_tenant="red", authorization="Bearer b").headers["x-cache"] == "HIT"
        assert ask(running, x_tenant="blue", authorization="Bearer a").headers["x-cache"] == "MISS"
        assert ask(running, authorization="Bearer a").headers["x-cache"] == "MISS"
        twice = httpx.Headers([("x-tenant", "red"), ("x-tenant", "blue")])
        assert httpx.post(f"{running.url}/v1/chat/completions", json=BODY, headers=twice).status_code == 400
        # A header of another proxy says nothing about who opened this connection.
        forwarded = {"x-tenant": "red", "x-forwarded-for": "10.9.9.9", "authorization": "Bearer c"}
        assert ask(running, **forwarded).headers["x-cache"] == "HIT"
    assert all("x-tenant" not in seen[1] and "x-forwarded-for" not in seen[1] for seen in server.seen)
    server.seen.clear()
    with proxy(server.url, tenant_header="X-Tenant", trusted_proxies=["10.0.0.0/8"]) as running:
        assert ask(running, x_tenant="red", authorization="Bearer a").headers["x-cache"] == "MISS"
        assert ask(running, x_tenant="red", authorization="Bearer b").headers["x-cache"] == "MISS"
        assert ask(running, x_tenant="blue", authorization="Bearer b").headers["x-cache"] == "HIT"
    assert all("x-tenant" not in seen[1] for seen in server.seen)


def test_the_servers_own_key_replaces_the_callers_and_callers_stay_apart(server, monkeypatch):
    upstream = {"default": {"url": server.url, "key_env": "OWN_KEY"}}
    monkeypatch.setenv("OWN_KEY", "sk-own")
    with proxy(upstream) as running:
        assert ask(running, authorization="Bearer a", cookie="c").headers["x-cache"] == "MISS"
        assert ask(running, authorization="Bearer b").headers["x-cache"] == "MISS"
        assert ask(running, authorization="Bearer b").headers["x-cache"] == "HIT"
        httpx.get(f"{running.url}/v1/models", headers={"x-api-key": "a"})
        monkeypatch.delenv("OWN_KEY")
        missing = ask(running, authorization="Bearer new")
        assert missing.status_code == 502
        assert "OWN_KEY" in missing.json()["error"]["message"]
    assert [seen[1]["authorization"] for seen in server.seen] == ["Bearer sk-own"] * len(server.seen)
    assert all("cookie" not in seen[1] and "x-api-key" not in seen[1] for seen in server.seen)


def test_keys_are_neither_logged_nor_stored(server, caplog, tmp_path):
    caplog.set_level(logging.DEBUG)
    path = tmp_path / "cache.db"
    with proxy(server.url, url=f"sqlite:///{path}") as running:
        ask(running, authorization="Bearer sk-secret-1", path="/v1/chat/completions?api-key=sk-secret-2")
        ask(running, authorization="Bearer sk-secret-1", path="/v1/nothing/here?api-key=sk-secret-2")
        httpx.post(f"{running.url}//x?api-key=sk-secret-2", headers={"x-api-key": "sk-secret-3"})
        server.fail = [500]
        ask(running, body={**BODY, "temperature": 0.5}, authorization="Bearer sk-secret-1")
    # httpx itself logs the URLs of the requests that this test makes.
    lines = [record.getMessage() for record in caplog.records if record.name != "httpx"]
    assert not [line for line in lines if "sk-secret" in line]
    for file in tmp_path.iterdir():
        assert b"sk-secret" not in file.read_bytes()


def test_options_differ_by_model_route_upstream_and_tenant(server):
    rules = [
        {"name": "off", "model": "live-*", "enabled": False},
        {"name": "shared", "route": "openai.embeddings", "share_across_keys": True},
        {"name": "red", "tenant": "red", "ttl": 0},
        {"name": "other", "upstream": "other", "tool_calls": "cache"},
    ]
    tenants = {"red": {"keys_sha256": [digest("red")]}}
    with proxy([server.url, f"other={server.url}"], rules=rules, tenants=tenants) as running:

        def twice(path="/v1/chat/completions", body=BODY, keys=("a", "a")):
            return [ask(running, path, body, authorization=f"Bearer {key}").headers["x-cache"] for key in keys]

        assert twice() == ["MISS", "HIT"]
        assert twice(body={**BODY, "model": "live-1"}) == ["BYPASS", "BYPASS"]
        assert twice("/v1/embeddings", {"model": "e", "input": "x"}, ("a", "b")) == ["MISS", "HIT"]
        assert twice(keys=("red", "red")) == ["MISS", "MISS"]
        server.tool = ("f", {})
        assert twice("/other/v1/chat/completions", {**BODY, "temperature": 0}) == ["MISS", "HIT"]
        assert twice(body={**BODY, "temperature": 1}) == ["MISS", "MISS"]


@pytest.mark.parametrize("key", ["same", None])
def test_many_at_once_make_one_call_for_each_tenant(server, key):
    server.gate = threading.Event()
    names = ["a", "b"]
    with proxy(server.url) as running:
        found = {}

        def one(number):
            name = names[number % 2]
            found[number] = (name, ask(running, authorization=f"Bearer {name}-{key}").json()["id"])

        threads = [threading.Thread(target=one, args=(number,)) for number in range(12)]
        for thread in threads:
            thread.start()
        while server.calls < 2:
            server.arrived.wait(0.05)
        server.gate.set()
        for thread in threads:
            thread.join()
    assert server.calls == 2
    assert len(set(found.values())) == 2
