"""Hits through the proxy: against a bare Starlette app on the same server, and against LiteLLM's proxy.

One request, as OpenAI's SDK sends it, over 16 connections from this process. "Cost" is the CPU time of the server's
processes for a request, which other load on the machine hardly changes; hits per second and latencies are of the whole
machine, on which this client takes its part.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.harness import Bench, Figure, Times, at_least, at_most
from benchmarks.peers import PeerUnavailable, environment
from benchmarks.proxy.client import Done, load, request
from benchmarks.proxy.processes import Started, free_port, started, started_proxy

LITELLM = ["litellm[proxy]>=1.80"]
_CONNECTIONS = 16
_ASKED = request("What is the capital of France?")
_STREAMED = request("What is the capital of Italy?", stream=True)

_CONFIG = """\
model_list:
  - model_name: m
    litellm_params: {{model: openai/m, api_base: "{url}/v1", api_key: k}}
litellm_settings:
  cache: true
  cache_params: {{type: local, ttl: 3600}}
"""


class _Side:
    """One server under load: the results of its rounds."""

    def __init__(self, bench: Bench, server: Started, requests: int, asked: bytes = _ASKED) -> None:
        self._bench = bench
        self._server = server
        self._requests = requests
        self._asked = asked
        self.cost: list[float] = []
        self.rate: list[float] = []
        self.p50: list[float] = []
        self.p99: list[float] = []
        self._load(64)  # workers are warm, and the answer is stored
        self.last = self._load(1).last

    def _load(self, requests: int) -> Done:
        return self._bench.run(load(self._server.port, self._asked, requests, _CONNECTIONS))

    def round(self) -> None:
        """Send the requests of one round."""
        before = self._server.cpu()
        done = self._load(self._requests)
        self.cost.append((self._server.cpu() - before) / self._requests)
        self.rate.append(self._requests / done.seconds)
        self.p50.append(done.at(0.5))
        self.p99.append(done.at(0.99))

    def summary(self) -> str:
        """Return rate and latencies, for the note of a figure."""
        return f"{median(self.rate):,.0f}/s, p50 {median(self.p50) * 1e3:.1f} ms, p99 {median(self.p99) * 1e3:.1f} ms"


def run(bench: Bench) -> None:
    """Measure with one worker and with two."""
    log = bench.folder / "proxy.log"
    port = free_port()
    provider = [sys.executable, "-m", "benchmarks.proxy.provider", str(port)]
    with started(provider, port, log) as upstream:
        for workers in (1, 2):
            with bench.temporary() as folder:
                _against_constant(bench, upstream, workers, folder)
        with bench.temporary() as folder:
            _against_litellm(bench, upstream, folder)


def _against_constant(bench: Bench, upstream: Started, workers: int, folder: Path) -> None:
    bench.say(f"{workers} worker(s): against an app that answers a constant")
    port = free_port()
    constant = [sys.executable, "-m", "benchmarks.proxy.constant", str(port), str(workers)]
    log = bench.folder / "proxy.log"
    cache = None if workers == 1 else f"sqlite:///{folder}/cache.db"
    with (
        started(constant, port, log) as floor,
        started_proxy(f"{upstream.url}/v1", log, workers, cache) as proxy,
    ):
        requests, rounds = bench.size(3000, 100), bench.size(7, 2)
        sides = {"constant": _Side(bench, floor, requests), "hit": _Side(bench, proxy, requests)}
        sides["streamed hit"] = _Side(bench, proxy, requests, _STREAMED)
        assert b"x-cache: HIT" in sides["hit"].last, sides["hit"].last
        assert b"x-cache: HIT" in sides["streamed hit"].last, sides["streamed hit"].last
        for _ in range(rounds):
            for side in sides.values():
                side.round()
    times: Times = {name: side.cost for name, side in sides.items()}
    where = f"{workers} worker{'s on SQLite' if workers > 1 else ', memory'}: CPU of a request"
    for name, target in (("hit", at_most(2.0)), ("streamed hit", None)):
        bench.ratio(f"{where}, {name}", times, name, "constant", target)
        bench.figures[-1].note = f"{sides[name].summary()}; constant {sides['constant'].summary()}"


@contextlib.contextmanager
def _litellm(bench: Bench, upstream: Started, folder: Path) -> Iterator[Started]:
    python = environment("litellm-proxy", LITELLM)
    config = folder / "litellm.yaml"
    config.write_text(_CONFIG.format(url=upstream.url))
    port = free_port()
    command = [str(python.parent / "litellm"), "--config", str(config), "--port", str(port), "--host", "127.0.0.1"]
    quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_TELEMETRY": "False"}
    # Without a key of its own it has the least to do.
    quiet["LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY"] = "true"
    with started(
        [*command, "--num_workers", "1"], port, bench.folder / "litellm.log", {**quiet, "PYTHONPATH": ""}
    ) as it:
        yield it


def _against_litellm(bench: Bench, upstream: Started, folder: Path) -> None:
    what = "1 worker, memory: hits per second"
    if not bench.peers:
        bench.missing(what, "peers were left out (--no-peers)")
        return
    bench.say("LiteLLM's proxy with its local cache: installing if need be, starting")
    try:
        with (
            _litellm(bench, upstream, folder) as peer,
            started_proxy(f"{upstream.url}/v1", bench.folder / "proxy.log") as proxy,
        ):
            theirs = _Side(bench, peer, bench.size(400, 50))
            ours = _Side(bench, proxy, bench.size(3000, 100))
            answer = json.loads(theirs.last.partition(b"\r\n\r\n")[2])
            before = _calls(bench, upstream)
            for _ in range(bench.size(5, 2)):
                theirs.round()
                ours.round()
            assert _calls(bench, upstream) == before, "LiteLLM did not answer from its cache"
            assert "capital of France" in answer["choices"][0]["message"]["content"]
    except PeerUnavailable as error:
        bench.missing(what, str(error))
        return
    ratios = [a / b for a, b in zip(ours.rate, theirs.rate, strict=True)]
    bench.figures.append(
        Figure(
            bench.subset, what, median(ours.rate), "/s", "LiteLLM's proxy", median(theirs.rate), median(ratios),
            min(ratios), max(ratios), at_least(3.0), f"{ours.summary()}; LiteLLM {theirs.summary()}",
        )
    )  # fmt: skip


def _calls(bench: Bench, upstream: Started) -> int:
    asked = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
    done = bench.run(load(upstream.port, asked, 1, 1))
    found: int = json.loads(done.last.partition(b"\r\n\r\n")[2])["calls"]
    return found
