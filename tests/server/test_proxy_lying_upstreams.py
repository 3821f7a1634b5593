"""Upstreams that send what they should not, and what of one caller's response reaches another caller."""

import gzip
import hashlib
import json
import socket
import threading
import time

import httpx
import pytest
from proxy_server import exchange, proxy
from raw_provider import ANSWER, raw_provider, response

PATH = "/v1/chat/completions"


@pytest.fixture(scope="module")
def raw():
    with raw_provider() as running:
        yield running


@pytest.fixture(scope="module")
def liar(raw):
    with proxy(f"{raw.url}/v1") as running:
        yield running


def asking(text, **more):
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": text}], **more}).encode()


def post(running, text, key="k", **more):
    return httpx.post(running.url + PATH, content=asking(text, **more), headers={"authorization": f"Bearer {key}"})


@pytest.mark.parametrize("status", [b"600 Odd", b"999 Odd"])
def test_a_status_that_http_does_not_have(liar, raw, status):
    raw.reply = response(status=status)
    for answer in (post(liar, f"status {status}"), httpx.get(f"{liar.url}/v1/models")):
        assert answer.status_code == 502
        assert answer.headers["proxy-status"] == "semantic-llm-cache; error=http_protocol_error"


def test_codings_of_answers(liar, raw):
    raw.reply = response(gzip.compress(ANSWER), b"Content-Encoding: X-GZIP")
    assert post(liar, "x-gzip").content == ANSWER
    raw.reply = response(b"\x8b\x02\x80", b"Content-Encoding: br")  # nobody asked for that
    answer = post(liar, "br")
    assert answer.status_code == 502
    assert answer.headers["proxy-status"] == "semantic-llm-cache; error=http_response_content_coding"


def test_an_answer_without_content_has_no_length(liar, raw):
    raw.reply = response(b"hello", status=b"204 No Content")
    for answer in (post(liar, "nothing"), httpx.get(f"{liar.url}/v1/models")):
        assert answer.status_code == 204
        assert "content-length" not in answer.headers


def test_what_an_upstream_says_of_its_own_host_is_not_passed_on(liar, raw):
    raw.reply = response(ANSWER, b'Alt-Svc: h3=":443"', b"Strict-Transport-Security: max-age=9; includeSubDomains")
    for answer in (post(liar, "hosts"), httpx.get(f"{liar.url}/v1/models")):
        assert not {"alt-svc", "strict-transport-security"} & answer.headers.keys()


def test_a_similarity_that_the_upstream_claims_is_not_passed_on(liar, raw):
    raw.reply = response(ANSWER, b"X-Cache-Similarity: 0.99", b"X-Cache-Id: theirs")
    answer = post(liar, "claims")
    assert "x-cache-similarity" not in answer.headers
    assert answer.headers["x-cache-id"] != "theirs"


def test_bodies_in_a_coding_or_charset_that_is_declared_are_passed_on(liar, raw):
    raw.reply = response()
    for headers, body in (
        ({"content-encoding": "gzip"}, gzip.compress(asking("packed"))),
        ({"content-type": "application/json; charset=utf-16"}, asking("wide").decode().encode("utf-16")),
    ):
        answer = httpx.post(liar.url + PATH, content=body, headers=headers)
        assert answer.status_code == 200
        assert answer.headers["cache-status"].startswith("semantic-llm-cache; fwd=bypass")


# ------------------------------------------------------------------------------ callers who share


def refusing_bad_keys(head):
    if b"bearer bad" in head:
        return response(b'{"error": "a bad key"}', b"Set-Cookie: session=bad", b"X-Org: bad", status=b"401 No")
    return response(ANSWER, b"Set-Cookie: session=good")


def two_at_once(running, raw, text, keys, **more):
    """Return the answers of two callers; the second joins the first one's call where they share."""
    answers = {}
    raw.seen.clear()
    raw.reply = refusing_bad_keys
    raw.gate.clear()

    def ask(place):
        answers[place] = post(running, text, keys[place], **more)

    threads = [threading.Thread(target=ask, args=(place,)) for place in (0, 1)]
    for place, thread in enumerate(threads):
        thread.start()
        until = time.monotonic() + 5
        while len(raw.seen) < 1 and time.monotonic() < until:
            time.sleep(0.005)
        time.sleep(0.15 * place)
    raw.gate.set()
    for thread in threads:
        thread.join(10)
    return answers[0], answers[1]


def digest(key):
    return hashlib.sha256(key.encode()).hexdigest()


SHARED = {"share_across_keys": True}, {"tenants": {"t": {"keys_sha256": [digest("bad"), digest("good")]}}}


@pytest.mark.parametrize("settings", SHARED, ids=["all keys", "a tenant"])
def test_a_refused_key_does_not_fail_a_caller_with_another_one(raw, settings):
    with proxy(f"{raw.url}/v1", **settings) as running:
        for stream in (False, True):
            first, second = two_at_once(running, raw, f"join {stream}", ("bad", "good"), stream=stream)
            assert (first.status_code, second.status_code) == (401, 200)
            assert second.headers["set-cookie"] == "session=good"
            assert len(raw.seen) == 2


def test_callers_with_one_key_share_its_refusal_without_its_cookies(raw):
    with proxy(f"{raw.url}/v1", share_across_keys=True) as running:
        first, second = two_at_once(running, raw, "same key", ("bad", "bad"))
        assert (first.status_code, second.status_code, len(raw.seen)) == (401, 401, 1)
        assert first.content == second.content
        assert sorted("set-cookie" in one.headers for one in (first, second)) == [False, True]
        assert sorted("x-org" in one.headers for one in (first, second)) == [False, True]


def test_callers_share_the_refusal_of_the_servers_own_key(raw, monkeypatch):
    monkeypatch.setenv("KEY_OF_THE_SERVER", "bad")
    upstream = {"default": {"url": f"{raw.url}/v1", "key_env": "KEY_OF_THE_SERVER"}}
    with proxy(upstream, share_across_keys=True) as running:
        first, second = two_at_once(running, raw, "server's key", ("a", "b"))
        assert (first.status_code, second.status_code, len(raw.seen)) == (401, 401, 1)


def test_a_caller_cannot_add_to_the_servers_key(raw, monkeypatch):
    monkeypatch.setenv("KEY_OF_THE_SERVER", "s3cret")
    upstream = {"default": {"url": f"{raw.url}/v1", "key_env": "KEY_OF_THE_SERVER", "key_header": "X-Gateway-Key"}}
    raw.reply = response()
    with proxy(upstream) as running:
        raw.seen.clear()
        httpx.post(running.url + PATH, content=asking("two keys"), headers={"x-gateway-key": "mine"})
    assert b"x-gateway-key: s3cret\r\n" in raw.seen[0]
    assert b"mine" not in raw.seen[0]


def test_the_keys_of_two_tenants_are_refused_in_any_order(raw):
    tenants = {name: {"keys_sha256": [digest(name)]} for name in ("red", "blue")}
    raw.reply = response()
    with proxy(f"{raw.url}/v1", tenants=tenants) as running:
        raw.seen.clear()
        for place in ("authorization", "cookie"):
            pair = [(place, "blue"), ("x-api-key", "red")]
            for headers in (pair, pair[::-1]):
                answer = httpx.post(running.url + PATH, content=asking("both"), headers=headers)
                assert answer.status_code == 400
                assert "two tenants" in answer.json()["error"]["message"]
        assert raw.seen == []


# ------------------------------------------------------------------------------ the end


def test_a_request_that_the_end_cuts_off_gets_an_error_that_says_so(raw, caplog):
    raw.reply = response()
    raw.gate.clear()
    found = {}
    with proxy(f"{raw.url}/v1", shutdown_timeout=0.2) as running:
        raw.seen.clear()
        body = asking("too late")
        head = b"POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % (PATH.encode(), len(body))
        thread = threading.Thread(target=lambda: found.update(answer=exchange(running.port, head + body)))
        thread.start()
        while not raw.seen:
            time.sleep(0.005)
    thread.join(5)
    raw.gate.set()
    assert found["answer"].startswith(b"HTTP/1.1 503"), found
    assert b"the server stops" in found["answer"]
    assert not [record for record in caplog.records if record.exc_info]


def test_a_client_that_leaves_after_its_upload_frees_the_upstream(liar, raw):
    raw.gate.clear()
    raw.seen.clear()
    with socket.create_connection(("127.0.0.1", liar.port)) as connection:
        connection.sendall(b"POST /v1/files HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello")
        while not raw.seen:
            time.sleep(0.005)
    until = time.monotonic() + 5
    while liar.server.server_state.tasks and time.monotonic() < until:
        time.sleep(0.01)
    left = set(liar.server.server_state.tasks)
    raw.gate.set()
    assert not left
