"""How long other requests wait while the proxy handles one with a large body.

`python -m benchmarks.proxy.bodies`. For each body, one connection asks ``/healthz`` again and again while another sends
the body twice: a miss and, where it can be stored, a hit. The figure is the longest wait for ``/healthz``.
"""

from __future__ import annotations

import http.client
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from benchmarks.proxy.processes import free_port, started, started_proxy

_MB = 1 << 20
_CHAT, _EMBEDDINGS = "/v1/chat/completions", "/v1/embeddings"
_ANSWER_MB = 20.0
_BIG_ANSWER = "many"
"""The model whose embeddings are an answer of 20 MB."""


def _chat(messages: list[dict[str, Any]], **more: Any) -> bytes:
    return json.dumps({"model": "m", "messages": messages, **more}).encode()


def _bodies() -> Iterator[tuple[str, str, bytes]]:
    """Yield a name, a path and a body, one after the other."""
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "QUJD" * (5 * _MB)}}
    yield "one picture", _CHAT, _chat([{"role": "user", "content": [picture]}])
    yield "one text", _CHAT, _chat([{"role": "user", "content": "word " * (4 * _MB)}])
    for values in (310_000, 900_000):
        said = f"{values:,} values:"
        roles = ("user", "assistant")
        yield f"{said} messages", _CHAT, _chat([{"role": roles[i % 2], "content": "hi"} for i in range(values // 2)])
        yield f"{said} floats", _CHAT, _chat([{"role": "user", "content": "hi"}], extra=[0.1234] * values)
        yield f"{said} texts", _EMBEDDINGS, json.dumps({"model": "m", "input": ["a b c"] * values}).encode()
        yield f"{said} token ids", _EMBEDDINGS, json.dumps({"model": "m", "input": [1234] * values}).encode()
    yield f"an answer of {_ANSWER_MB:g} MB", _EMBEDDINGS, json.dumps({"model": _BIG_ANSWER, "input": "x"}).encode()


# -------------------------------------------------------------------------------------- the provider


def _answer(count: int) -> bytes:
    data = [{"object": "embedding", "index": i, "embedding": [0.0123456789] * 1536} for i in range(count)]
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    return json.dumps({"object": "list", "model": "m", "data": data, "usage": usage}).encode()


def _provide(port: int) -> None:
    small, large = _answer(1), _answer(int(_ANSWER_MB * _MB / (14 * 1536)))
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}
    chat = json.dumps({"id": "c", "object": "chat.completion", "model": "m", "choices": [choice]}).encode()

    class Provider(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = self.rfile.read(int(self.headers["content-length"]))
            body = chat if self.path == _CHAT else large if _BIG_ANSWER.encode() in asked[:50] else small
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    ThreadingHTTPServer(("127.0.0.1", port), Provider).serve_forever()


# -------------------------------------------------------------------------------------- the measurement


def _send(port: int, path: str, body: bytes) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("POST", path, body, {"content-type": "application/json"})
    response = connection.getresponse()
    response.read()
    connection.close()
    return (response.headers["cache-status"] or "").partition("; ")[2]


def _longest_wait(port: int, path: str, body: bytes) -> tuple[float, float, str]:
    """Return the longest wait of another request, and the time of this one, both in seconds, and its cache status."""
    said: list[str] = []
    sender = threading.Thread(target=lambda: said.append(_send(port, path, body)))
    others = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    longest, began = 0.0, time.perf_counter()
    sender.start()
    while sender.is_alive():
        asked = time.perf_counter()
        others.request("GET", "/healthz")
        others.getresponse().read()
        longest = max(longest, time.perf_counter() - asked)
        time.sleep(0.001)
    others.close()
    return longest, time.perf_counter() - began, said[0]


def main() -> None:
    """Print a table."""
    with tempfile.TemporaryDirectory() as folder:
        log, port = Path(folder) / "log", free_port()
        provider = [sys.executable, "-m", "benchmarks.proxy.bodies", str(port)]
        with started(provider, port, log), started_proxy(f"http://127.0.0.1:{port}", log) as proxy:
            _send(proxy.port, _CHAT, _chat([{"role": "user", "content": "warm up"}]))
            for name, path, body in _bodies():
                print(f"{name}, {len(body) / _MB:.1f} MB")
                for _ in range(2):
                    wait, took, said = _longest_wait(proxy.port, path, body)
                    print(f"    others waited {wait * 1000:6.1f} ms at most; it took {took * 1000:6.0f} ms: {said}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _provide(int(sys.argv[1]))
    else:
        main()
