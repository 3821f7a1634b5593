"""What is passed on, and what comes back, as a careful reverse proxy does it."""

import gzip
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from proxy_server import exchange, proxy

from semantic_llm_cache.calls.control import CacheControl
from semantic_llm_cache.server.proxy.headers import read_head


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.seen.append((self.command, self.path, dict(self.headers.items()), self.body()))
        self.server.answer(self)

    do_POST = do_PUT = do_DELETE = do_HEAD = do_OPTIONS = do_PATCH = do_GET

    def body(self):
        if "chunked" not in self.headers.get("transfer-encoding", ""):
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        found = b""
        while size := int(self.rfile.readline(), 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def reply(self, status, headers, body=b""):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def origin():
    """An upstream that answers as a test tells it: `answer` is called with the handler."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.seen = []
    server.handle_error = lambda *args: None
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    with proxy(f"http://127.0.0.1:{server.server_address[1]}", read_timeout=0.5) as running:
        yield server, running
    server.shutdown()
    server.server_close()
    thread.join()


def test_method_path_query_and_body_arrive_as_they_were_sent(origin):
    server, running = origin
    server.answer = lambda handler: handler.reply(201, [("Content-Length", "2")], b"ok")
    server.seen.clear()
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        body = b"" if method in ("GET", "OPTIONS") else b"\x00\xffbody"
        reply = httpx.request(method, f"{running.url}/v1/files/a%20b?q=1&q=%2F&r", content=body)
        assert (reply.status_code, reply.content) == (201, b"ok")
        assert reply.headers["cache-status"].startswith("semantic-llm-cache; fwd=")
        assert server.seen.pop()[:2] == (method, "/v1/files/a%20b?q=1&q=%2F&r")
    httpx.post(f"{running.url}/v1/files", content=(part for part in (b"one", b"two")))
    assert server.seen.pop()[3] == b"onetwo"


def test_a_head_request_has_the_length_and_no_body(origin):
    server, running = origin
    server.answer = lambda handler: handler.reply(200, [("Content-Length", "12345")])
    reply = httpx.head(f"{running.url}/v1/files/x")
    assert (reply.headers["content-length"], reply.content) == ("12345", b"")


def test_hop_by_hop_headers_stay_on_their_connection(origin):
    server, running = origin
    sent = [
        ("Content-Length", "0"),
        ("Connection", "X-Secret"),
        ("X-Secret", "1"),
        ("Keep-Alive", "9"),
        ("X-Kept", "2"),
    ]
    server.answer = lambda handler: handler.reply(200, [*sent, ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
    server.seen.clear()
    request = (
        b"GET /v1/models HTTP/1.1\r\nHost: proxy\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\nTE: trailers\r\n"
        b"Upgrade: h2c\r\nProxy-Authorization: Basic x\r\nKeep-Alive: 5\r\nX-Own: 2\r\n"
        b"X-Cache-Control: no-cache\r\n\r\n"
    )
    answer = exchange(running.port, request).lower()
    assert b"x-kept: 2" in answer
    assert b"x-secret" not in answer
    assert b"keep-alive" not in answer
    assert answer.count(b"set-cookie") == 2
    arrived = {name.lower(): value for name, value in server.seen[0][2].items()}
    assert arrived["x-own"] == "2"
    assert arrived["host"] != "proxy"
    hidden = {"x-mine", "te", "upgrade", "proxy-authorization", "keep-alive", "connection", "x-cache-control"}
    assert not hidden & arrived.keys()


def test_an_encoded_body_is_passed_as_it_is_and_of_a_model_call_decoded(origin):
    server, running = origin
    data = gzip.compress(b"some text")
    headers = [("Content-Encoding", "gzip"), ("Content-Length", str(len(data)))]
    server.answer = lambda handler: handler.reply(200, headers, data)
    with httpx.stream("GET", f"{running.url}/v1/files/x", headers={"accept-encoding": "gzip"}) as reply:
        assert reply.headers["content-encoding"] == "gzip"
        assert b"".join(reply.iter_raw()) == data
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    answer = json.dumps({"id": "1", "object": "chat.completion", "model": "m", "choices": [choice]}).encode()
    packed = gzip.compress(answer)
    headers = [("Content-Encoding", "gzip"), ("Content-Length", str(len(packed))), ("Content-Type", "application/json")]
    server.answer = lambda handler: handler.reply(200, headers, packed)
    body = {"model": "m", "messages": [{"role": "user", "content": "packed"}]}
    for outcome in ("MISS", "HIT"):
        request = {"content": json.dumps(body), "headers": {"accept-encoding": "identity"}}
        with httpx.stream("POST", f"{running.url}/v1/chat/completions", **request) as reply:
            assert b"".join(reply.iter_raw()) == answer
            assert "content-encoding" not in reply.headers
            assert reply.headers["x-cache"] == outcome


def test_redirects_and_errors_of_the_upstream_reach_the_caller(origin):
    server, running = origin
    server.answer = lambda handler: handler.reply(
        307, [("Location", "http://elsewhere.test/"), ("Content-Length", "0")]
    )
    reply = httpx.get(f"{running.url}/v1/models")
    assert (reply.status_code, reply.headers["location"]) == (307, "http://elsewhere.test/")
    body = {"model": "m", "messages": [{"role": "user", "content": "fails"}]}
    for status in (400, 401, 429, 500, 503):
        headers = [("Content-Length", "2"), ("Retry-After", "7")]
        server.answer = lambda handler, status=status, headers=headers: handler.reply(status, headers, b"no")
        reply = httpx.post(f"{running.url}/v1/chat/completions", json=body)
        assert (reply.status_code, reply.content, reply.headers["retry-after"]) == (status, b"no", "7")
        assert f"fwd-status={status}" in reply.headers["cache-status"]


def _breaks(handler):
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def _hangs(handler):
    time.sleep(0.8)
    handler.close_connection = True


def _garbles(handler):
    handler.wfile.write(b"garbage\r\n\r\n")
    handler.close_connection = True


@pytest.mark.parametrize(
    ("answer", "status", "word"),
    [
        (_breaks, 502, "http_protocol_error"),
        (_hangs, 504, "http_response_timeout"),
        (_garbles, 502, "http_protocol_error"),
    ],
)
def test_an_upstream_that_does_not_answer(origin, answer, status, word):
    server, running = origin
    server.answer = answer
    body = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "user": word}
    for reply in (
        httpx.post(f"{running.url}/v1/chat/completions", json=body),
        httpx.get(f"{running.url}/v1/models"),
    ):
        assert reply.status_code == status
        assert reply.headers["proxy-status"] == f"semantic-llm-cache; error={word}"
        assert "the upstream 'default'" in reply.json()["error"]["message"]


def test_an_upstream_that_is_not_there():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with proxy(f"http://127.0.0.1:{port}") as running:
        reply = httpx.post(f"{running.url}/v1/messages", json={"model": "m", "messages": [], "max_tokens": 1})
        assert reply.status_code == 502
        assert reply.json()["error"] == {"type": "api_error", "message": "the upstream 'default' cannot be reached"}


def test_cache_control_of_the_request(origin):
    server, running = origin
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    answer = json.dumps({"id": "1", "object": "chat.completion", "model": "m", "choices": [choice]}).encode()
    headers = [("Content-Length", str(len(answer))), ("Content-Type", "application/json")]
    server.answer = lambda handler: handler.reply(200, headers, answer)
    server.seen.clear()
    body = {"model": "m", "messages": [{"role": "user", "content": "controlled"}]}

    def ask(control):
        headers = {} if control is None else {"cache-control": control}
        reply = httpx.post(f"{running.url}/v1/chat/completions", json=body, headers=headers)
        return reply.status_code, reply.headers["cache-status"].removeprefix("semantic-llm-cache; ")

    assert ask("only-if-cached")[0] == 504
    assert ask("no-store") == (200, "fwd=miss; fwd-status=200; detail=no-store")
    assert ask(None) == (200, "fwd=miss; fwd-status=200; stored")
    assert ask("only-if-cached, no-transform, unknown=7") == (200, "hit")
    assert ask("max-age=3600") == (200, "hit")
    assert ask("max-age=0") == (200, "fwd=request; fwd-status=200; stored")
    assert ask("No-Cache") == (200, "fwd=request; fwd-status=200; stored")
    assert len(server.seen) == 4
    assert not any("cache-control" in {name.lower() for name in seen[2]} for seen in server.seen)


def test_a_model_call_that_bypasses_the_cache_comes_in_the_coding_that_the_caller_accepts(origin):
    server, running = origin

    def answer(handler):
        asked = handler.headers.get("accept-encoding", "")
        data = gzip.compress(b"packed") if "gzip" in asked else b"plain"
        coding = [("Content-Encoding", "gzip")] if "gzip" in asked else []
        handler.reply(200, [*coding, ("Content-Length", str(len(data)))], data)

    server.answer = answer
    twice = b'{"model": "m", "model": "n", "messages": []}'
    for accepted, expected in (("identity", b"plain"), ("gzip", b"packed")):
        reply = httpx.post(f"{running.url}/v1/chat/completions", content=twice, headers={"accept-encoding": accepted})
        assert (reply.content, reply.headers["x-cache"]) == (expected, "BYPASS")
        assert "an object has a name twice" in reply.headers["x-cache-store"]


def test_an_answer_only_from_the_cache_was_not_forwarded(origin):
    _, running = origin
    body = {"model": "m", "messages": [{"role": "user", "content": "not known"}]}
    reply = httpx.post(f"{running.url}/v1/chat/completions", json=body, headers={"cache-control": "only-if-cached"})
    assert (reply.status_code, reply.headers["cache-status"]) == (504, "semantic-llm-cache; detail=only-if-cached")


@pytest.mark.parametrize(
    "headers",
    [
        [("cache-control", "no-store"), ("x-cache-control", "ttl=60")],
        [("x-cache-control", "ttl=60"), ("cache-control", "max-age=5, no-store")],
        [("x-cache-control", "no-store"), ("x-cache-control", "ttl=60")],
    ],
)
def test_every_line_of_cache_control_is_obeyed(shared, server, headers):
    body = {"model": "m", "messages": [{"role": "user", "content": f"controlled {headers}"}]}
    answer = httpx.post(f"{shared.url}/v1/chat/completions", json=body, headers=headers)
    assert answer.headers["cache-status"].endswith("detail=no-store")


def test_of_two_ages_the_lower_one_holds():
    for headers in (
        [(b"cache-control", b"max-age=5"), (b"x-cache-control", b"max-age=60")],
        [(b"cache-control", b"max-age=60"), (b"x-cache-control", b"max-age=5")],
        [(b"x-cache-control", b"max-age=60, max-age=5, max-age=7")],
    ):
        assert CacheControl.read(read_head(headers, 1000).control).max_age == 5


@pytest.mark.parametrize("headers", [{"cache-control": "only-if-cached"}, {"x-cache-control": "odd, Only-If-Cached"}])
@pytest.mark.parametrize("body", [b"{bad", b'{"model": "a", "model": "b", "messages": []}', b"[]"])
def test_only_if_cached_holds_for_what_bypasses_the_cache(shared, server, headers, body):
    answer = httpx.post(f"{shared.url}/v1/chat/completions", content=body, headers=headers)
    assert answer.status_code == 504
    assert answer.headers["cache-status"] == "semantic-llm-cache; detail=only-if-cached"
    assert server.seen == []
