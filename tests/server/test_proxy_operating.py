"""The admin API, the dashboard and the metrics of the proxy."""

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from proxy_server import proxy

from semantic_llm_cache.server.operating import Operations, summary
from semantic_llm_cache.server.settings import Settings

TOKEN = "a-token-of-enough-length"
CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "How do I reset my password?"}]}
OTHER = {**CHAT, "messages": [{"role": "user", "content": "How can I reset my password?"}]}


def ask(client, body=CHAT):
    answer = client.post("/v1/chat/completions", json=body, headers={"authorization": "Bearer sk-a"})
    assert answer.status_code == 200
    return answer.headers["x-cache"]


def test_this_machine_sees_figures_without_a_token(server):
    with proxy(f"{server.url}/v1") as running, httpx.Client(base_url=running.url) as client:
        assert [ask(client), ask(client)] == ["MISS", "HIT"]
        stats = client.get("/admin/stats").json()
        assert stats["summary"]["hits"] == 1
        page = client.get("/dashboard")
        assert page.status_code == 200
        assert "text/html" in page.headers["content-type"]
        text = client.get("/metrics").text
        found = {
            tuple(sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "semantic_llm_cache_lookups_total"
        }
        assert sum(found.values()) == 2
        assert len(server.seen) == 1


@pytest.mark.parametrize("path", ["/admin/stats", "/dashboard", "/metrics"])
def test_with_a_token_nothing_is_shown_without_it(server, monkeypatch, path):
    monkeypatch.setenv("SEMANTIC_LLM_CACHE_ADMIN_TOKEN", TOKEN)
    with proxy(f"{server.url}/v1") as running, httpx.Client(base_url=running.url) as client:
        answer = client.get(path)
        assert answer.status_code in (401, 303), answer.text
        assert client.get(path, headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
        wrong = client.get(path, headers={"authorization": "Bearer sk-a"})
        assert wrong.status_code in (401, 303)
    assert not server.seen


@pytest.mark.parametrize("settings", [{"admin": False}, {"host": "0.0.0.0"}])
def test_turned_off_it_is_refused_and_not_passed_on(server, settings):
    with proxy(f"{server.url}/v1", **settings) as running, httpx.Client(base_url=running.url) as client:
        for path in ("/admin/stats", "/dashboard", "/metrics", "/admin"):
            assert client.get(path).status_code == 404
            assert client.post(path, json={}).status_code == 404
    assert not server.seen


def test_it_is_refused_where_anybody_could_use_it(server, monkeypatch):
    settings = Settings(upstream=server.url, host="0.0.0.0", admin=True, url="memory://")
    with pytest.raises(ValueError, match=r"0\.0\.0\.0.*SEMANTIC_LLM_CACHE_ADMIN_TOKEN"):
        Operations(settings)
    assert summary(Settings(upstream=server.url, host="0.0.0.0")).startswith("off: others could use it")
    monkeypatch.setenv("SEMANTIC_LLM_CACHE_ADMIN_TOKEN", TOKEN)
    assert "who has the token" in summary(settings)


@pytest.mark.parametrize("rules", [[], [{"name": "small", "model": "gpt-4o-mini", "ttl": 60}]])
def test_a_changed_threshold_holds_for_the_next_request(server, rules):
    with (
        proxy(f"{server.url}/v1", similarity=0.999, rules=rules) as running,
        httpx.Client(base_url=running.url) as client,
    ):
        assert [ask(client), ask(client, OTHER)] == ["MISS", "MISS"]
        answer = client.patch(f"/admin/settings/{'small' if rules else 'proxy'}", json={"similarity": 0.9})
        assert answer.status_code == 200, answer.text
        third = {**CHAT, "messages": [{"role": "user", "content": "How could I reset my password?"}]}
        assert ask(client, third) == "NEAR"


def test_every_rule_has_its_settings_from_the_start(server):
    rules = [{"name": "small", "model": "gpt-4o-mini", "ttl": 60}, {"name": "off", "model": "x", "enabled": False}]
    with proxy(f"{server.url}/v1", rules=rules) as running, httpx.Client(base_url=running.url) as client:
        assert [each["name"] for each in client.get("/admin/settings").json()["caches"]] == ["proxy", "small", "off"]
        answer = client.patch("/admin/settings/small", json={"ttl": 120})
        assert answer.status_code == 200
        assert ask(client) == "MISS"
        assert client.get("/admin/settings").json()["caches"][1]["current"]["ttl"] == 120
