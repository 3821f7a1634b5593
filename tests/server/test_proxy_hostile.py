"""Hostile requests are refused with a clear message, reach no upstream, and the server goes on."""

import json
import socket
import time

import httpx
import pytest
from proxy_server import exchange, proxy

BODY = b'{"model": "m", "messages": [{"role": "user", "content": "hello"}]}'
PATH = b"/v1/chat/completions"


@pytest.fixture(scope="module")
def strict(upstream):
    """A proxy with small limits."""
    limits = {"max_body": 10_000, "max_upload": 20_000, "max_headers": 4096}
    with proxy(
        [f"{upstream.url}/v1", f"ollama={upstream.url}"], **limits, header_timeout=0.4, body_timeout=0.4
    ) as running:
        yield running


def raw(target=PATH, *headers, body=BODY, method=b"POST", length=True):
    lines = [b"%s %s HTTP/1.1" % (method, target), b"Host: h", *headers]
    if length:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join([*lines, b"Connection: close", b"", b""]) + body


def refused(running, server, data, status, words):
    """Send bytes: the answer has this status and message, nothing reaches the upstream, and the next one is served."""
    server.seen.clear()
    answer = exchange(running.port, data)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d" % status), answer[:300]
    message = json.loads(body)["error"]["message"]
    assert words in message, message
    assert server.seen == []
    assert httpx.get(f"{running.url}/healthz").status_code == 200
    return head


TARGETS = [
    (b"//evil.test/v1/models", "two slashes"),
    (b"/ollama//evil.test/api/chat", "two slashes follow the name"),
    (b"/v1/../admin", "segment . or .."),
    (b"/v1/./models", "segment . or .."),
    (b"/v1/..", "segment . or .."),
    (b"/v1/%2e%2e/admin", "segment . or .."),
    (b"/v1/.%2E;x/admin", "segment . or .."),
    (b"/v1/..%2fadmin", "escaped slash"),
    (b"/v1/a%5cb", "escaped slash"),
    (b"/v1/a%255cb", "escaped slash, percent sign"),
    (b"/v1/a%00b", "control character"),
    (b"/v1/a%0d%0aHost:%20evil", "control character"),
    (b"/v1/a%zz", "% that begins no escape"),
    (b"/v1\\models", "must be escaped"),
    (b"http://evil.test/v1/models", "must be a path"),
    (b"evil.test:443", "must be a path"),
    (b"*", "must be a path"),
]


@pytest.mark.parametrize(("target", "words"), TARGETS, ids=lambda value: str(value)[:24])
def test_tricks_with_the_path(strict, server, target, words):
    refused(strict, server, raw(target), 400, words)


FRAMINGS = {
    "two lengths": ([b"Content-Length: 5"], 400, "not valid HTTP"),
    "length and chunks": ([b"Transfer-Encoding: chunked"], 400, "content-length and transfer-encoding"),
    "two codings": ([b"Transfer-Encoding: gzip, chunked"], 400, "not valid HTTP"),
    "hidden coding": ([b"Transfer-Encoding: xchunked"], 400, "not valid HTTP"),
    "space before the colon": ([b"Transfer-Encoding : chunked"], 400, "not valid HTTP"),
    "a lone CR": ([b"X-A: 1\rContent-Length: 5"], 400, "not valid HTTP"),
    "a NUL": ([b"X-A: 1\x00"], 400, "not valid HTTP"),
    "an escape": ([b"X-A: 1\x1b[2J"], 400, "control character"),
    "a bell": ([b"Authorization: Bearer k\x07"], 400, "control character"),
    "no name": ([b": 1"], 400, "not valid HTTP"),
    "negative": ([b"Content-Length: -1"], 400, "not valid HTTP"),
    "plus": ([b"Content-Length: +5"], 400, "not valid HTTP"),
    "two hosts": ([b"Host: other"], 400, "not valid HTTP"),
}


@pytest.mark.parametrize("name", FRAMINGS)
def test_smuggled_lengths_and_odd_headers(strict, server, name):
    headers, status, words = FRAMINGS[name]
    refused(strict, server, raw(PATH, *headers), status, words)


def test_what_is_not_http(strict, server):
    for data in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"\xff\xfe\r\n\r\n"):
        refused(strict, server, data, 400, "not valid HTTP")
    refused(strict, server, b"GET / HTTP/9.9\r\nHost: h\r\n\r\n", 505, "use HTTP/1.1")
    refused(strict, server, raw(method=b"TRACE"), 405, "use GET, HEAD, POST")
    refused(strict, server, raw(b"/v1/models", method=b"CONNECT"), 405, "use GET, HEAD, POST")


def test_bodies_that_are_too_large(strict, server):
    large = b'{"model": "m", "messages": [{"role": "user", "content": "%s"}]}' % (b"x" * 10_000)
    head = refused(strict, server, raw(body=large), 413, "limit of 10,000 bytes")
    assert b"connection: close" in head.lower()
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(large), large)
    refused(
        strict,
        server,
        raw(PATH, b"Transfer-Encoding: chunked", body=chunked, length=False),
        413,
        "limit of 10,000 bytes",
    )
    refused(strict, server, raw(b"/v1/files", body=b"x" * 20_001), 413, "limit of 20,000 bytes")
    # Only announced: it is refused before a byte of it is here.
    refused(strict, server, raw(PATH, b"Content-Length: 99999999999", body=b"", length=False), 413, "10,000 bytes")


def test_an_upload_in_chunks_that_is_too_large_is_cut_off(strict, server):
    chunk = b"2710\r\n%s\r\n" % (b"x" * 10_000)
    request = raw(b"/v1/files", b"Transfer-Encoding: chunked", body=chunk * 3 + b"0\r\n\r\n", length=False)
    answer = exchange(strict.port, request)
    assert answer.startswith(b"HTTP/1.1 413"), answer
    assert httpx.get(f"{strict.url}/healthz").status_code == 200


def test_bodies_that_no_provider_can_read(strict, server):
    refused(strict, server, raw(body=b'{"model": "\xff"}'), 400, "not UTF-8")
    deep = b'{"model": "m", "messages": %s' % (b"[" * 9_000)
    refused(strict, server, raw(body=deep), 400, "nested too deep")


def test_floods_of_headers(strict, server):
    refused(strict, server, raw(PATH, *[b"X-%d: 1" % i for i in range(200)]), 431, "100 headers")
    refused(strict, server, raw(PATH, b"X-A: " + b"a" * 4080), 431, "4,096 bytes")
    answer = exchange(strict.port, b"GET / HTTP/1.1\r\nX-A: " + b"a" * 300_000)
    assert answer.startswith(b"HTTP/1.1 400") or answer == b""  # cut off before all of it was sent
    assert httpx.get(f"{strict.url}/healthz").status_code == 200


def test_slow_headers_and_slow_bodies(strict, server):
    refused(strict, server, b"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nX-A: ", 408, "headers of the request")
    refused(strict, server, raw(PATH, b"Content-Length: 50", body=b'{"mod', length=False), 408, "not complete")
    upload = raw(b"/v1/files", b"Content-Length: 50", body=b"half", length=False)
    assert exchange(strict.port, upload).startswith(b"HTTP/1.1 408")
    began = time.monotonic()
    assert exchange(strict.port, b"") == b""  # nothing was ever sent
    assert time.monotonic() - began < 3


def test_a_byte_now_and_then_does_not_keep_a_connection(strict):
    with socket.create_connection(("127.0.0.1", strict.port), timeout=5) as connection:
        began = time.monotonic()
        connection.sendall(b"POST / HTTP/1.1\r\nHost: h\r\n")
        answer = b""
        while not answer and time.monotonic() - began < 4:
            connection.sendall(b"X-A: 1\r\n")
            connection.settimeout(0.1)
            try:
                answer = connection.recv(1000)
            except TimeoutError:
                pass
        assert answer.startswith(b"HTTP/1.1 408")


def test_errors_have_the_form_of_the_api_that_was_called(strict):
    openai = httpx.post(f"{strict.url}/v1/chat/completions", content=b"\xff").json()
    assert openai["error"]["type"] == "invalid_request_error"
    anthropic = httpx.post(f"{strict.url}/v1/messages", content=b"\xff").json()
    assert (anthropic["type"], anthropic["error"]["type"]) == ("error", "invalid_request_error")
    ollama = httpx.post(f"{strict.url}/ollama/api/chat", content=b"\xff").json()
    assert "not UTF-8" in ollama["error"]


def test_fragments_in_the_query_are_refused(strict, server):
    refused(strict, server, raw(PATH + b"?a=1#b"), 400, "query holds a character")
    refused(strict, server, raw(b"/v1/models?#b", method=b"GET"), 400, "query holds a character")


def test_a_number_of_thousands_of_digits_in_cache_control(upstream, server):
    with proxy(f"{upstream.url}/v1", max_headers=16_384) as running:
        for digits in (b"9" * 5000, b"0" * 5000, b"\xb2"):
            answer = exchange(running.port, raw(PATH, b"Cache-Control: max-age=" + digits))
            assert answer.startswith(b"HTTP/1.1 200"), answer[:100]


def test_long_names_of_models_are_not_remembered(upstream, server):
    with proxy(f"{upstream.url}/v1", rules=[{"name": "r", "model": "gpt*", "ttl": 5}]) as running:
        for name in ("m" * 10_000, "gpt" + "x" * 10_000, "gpt-4"):
            body = json.dumps({"model": name, "messages": [{"role": "user", "content": "q"}]})
            assert httpx.post(f"{running.url}/v1/chat/completions", content=body).status_code == 200
        assert [asker.model for asker in running.app.doors._known] == ["gpt-4"]
