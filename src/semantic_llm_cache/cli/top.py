"""`semantic-llm-cache top`: the live traffic of a running server, in the terminal."""

from __future__ import annotations

import json
import os
import time
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib import error, parse, request

import click

from semantic_llm_cache.cli.common import CommandError
from semantic_llm_cache.cli.output import age, clean, columns, milliseconds, money, number
from semantic_llm_cache.cli.parsing import COUNT, Args, Number, argument, command, option
from semantic_llm_cache.redaction import origin_of

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["TOKEN_VARIABLE", "frame", "read_token", "top_command"]

TOKEN_VARIABLE = "SEMANTIC_LLM_CACHE_ADMIN_TOKEN"
_INTERVAL = Number("seconds from 0.2 to 3600", 0.2, 3600)
_MINUTES = Number("minutes from 2 to 1440", 2, 1440, whole=True)
_TIMEOUT = 10.0
_OUTCOMES = ("exact", "near", "coalesced", "stale", "miss", "error", "bypass")
_STYLES = {"exact": "green", "near": "cyan", "coalesced": "blue", "stale": "magenta", "error": "red", "bypass": "dim"}
_BARS = " ▁▂▃▄▅▆▇█"
_OWN = ("localhost", "127.0.0.1", "::1")


@command("top", "top", "top http://cache.internal:8080 --token-file token.txt", "top --once --minutes 60")
@argument(
    "url",
    required=False,
    default="http://127.0.0.1:8080",
    help="Where the server listens (default: http://127.0.0.1:8080).",
)
@option(
    "--token-file",
    metavar="PATH",
    type=click.Path(),
    help=f"File with the admin token (default: the variable {TOKEN_VARIABLE}).",
)
@option("--namespace", metavar="NAME", help="Only calls in this namespace.")
@option("--minutes", type=_MINUTES, default=15, metavar="N", help="How many minutes to sum up.")
@option("--limit", type=COUNT, default=15, metavar="N", help="How many of the last calls to list.")
@option("--interval", type=_INTERVAL, default=2.0, metavar="SECONDS", help="How often to ask the server.")
@option("--once", is_flag=True, show_default=False, help="Print one frame and end.")
def top_command(args: Args) -> int:
    """Show the live traffic of a running server: hits by tier, savings, times, and the last calls.

    It asks the server's admin API. Of a server with several workers, each answer is of one of them; its name is shown.
    """
    server = _Server(args)
    first = server.read()
    if args.once:
        _console().print(first)
        return 0
    try:
        _follow(server, first, args)
    except KeyboardInterrupt:  # how it is meant to end
        pass
    return 0


def _follow(server: _Server, first: RenderableType, args: Args) -> None:
    """Show the first frame, then new ones until somebody interrupts. An outage is shown, and does not end it."""
    from rich.live import Live
    from rich.text import Text

    shown = first
    with Live(shown, console=_console(), screen=True, auto_refresh=False) as live:
        while True:
            live.update(shown, refresh=True)
            time.sleep(args.interval)
            try:
                shown = server.read()
            except CommandError as problem:
                shown = Text(f"{problem}\nTrying again. Ctrl-C ends this.")


def _console() -> Any:
    from rich.console import Console

    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    return Console(highlight=False, width=columns(), color_system=None if plain else "auto")


# ---------------------------------------------------------------------------------- asking


class _Server:
    """The admin API of a server.

    Args:
        args: the parsed arguments.

    Raises:
        CommandError: the URL or the file of the token cannot be used.
    """

    def __init__(self, args: Args) -> None:
        host = _host_of(args.url)
        self._base = args.url.rstrip("/")
        self._token = read_token(args.token_file)
        self._namespace = {} if args.namespace is None else {"namespace": args.namespace}
        self._minutes = args.minutes
        self._limit = min(200, args.limit)
        # A proxy of the environment does not reach this machine's own servers.
        handlers = [request.ProxyHandler({})] if host in _OWN else []
        self._opener = request.build_opener(_NoRedirect(), *handlers)

    def read(self) -> RenderableType:
        """Return one frame.

        Raises:
            CommandError: the server does not answer, or refuses, or answers something else.
        """
        step = max(1, self._minutes // 60)
        found = {
            "traffic": self._get("traffic", minutes=self._minutes, step=step),
            "lookups": self._get("lookups", limit=self._limit),
            "not_stored": self._get("not-stored"),
        }
        try:
            return frame(found, self._limit)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as problem:
            raise CommandError(self._stranger()) from problem

    def _stranger(self) -> str:
        return f"what answers at {origin_of(self._base)} is not the server of this cache, or of another version"

    def _get(self, path: str, **query: Any) -> Any:
        url = f"{self._base}/admin/{path}?{parse.urlencode({**query, **self._namespace})}"
        headers = {"authorization": f"Bearer {self._token}"} if self._token else {}
        try:
            with self._opener.open(request.Request(url, headers=headers), timeout=_TIMEOUT) as reply:
                return json.load(reply)
        except error.HTTPError as problem:
            with problem:
                hint = f"; pass it as --token-file, or set {TOKEN_VARIABLE}" if problem.code == 401 else ""
                raise CommandError(f"the server refused ({problem.code}): {_detail(problem)}{hint}") from problem
        except (OSError, HTTPException) as problem:
            why = getattr(problem, "reason", problem)
            raise CommandError(f"no server answers at {origin_of(self._base)} ({why})") from problem
        except (ValueError, RecursionError) as problem:
            raise CommandError(self._stranger()) from problem


def _host_of(url: str) -> str:
    """Return the host in the URL of a server. Raises CommandError for anything else than such a URL."""
    try:
        parts = parse.urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or "@" in parts.netloc or parts.query or " " in url:
        raise CommandError("URL must be where a server listens, such as http://127.0.0.1:8080", code=2)
    return host


class _NoRedirect(request.HTTPRedirectHandler):
    """Follows no redirect: the token is for this server alone."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """Do not follow."""


def _detail(problem: error.HTTPError) -> str:
    if problem.code == 404:
        return "it has no admin API"
    try:
        return clean(str(json.load(problem)["detail"]))
    except (ValueError, KeyError, TypeError):
        return "it gave no reason"


def read_token(path: str | None) -> str:
    """Return the admin token in a file, or without one in the variable; "" if there is none.

    Raises:
        CommandError: the file cannot be read, or holds something else.
    """
    if path is None:
        return os.environ.get(TOKEN_VARIABLE, "").strip()
    try:
        token = Path(path).read_text(encoding="ascii").strip()
    except (OSError, UnicodeError) as problem:
        raise CommandError(f"--token-file: {clean(path)} cannot be read as text: {type(problem).__name__}") from problem
    if not token or any(char.isspace() for char in token):
        raise CommandError(f"--token-file: {clean(path)} must hold one token and nothing else")
    return token


# ---------------------------------------------------------------------------------- showing


def frame(found: dict[str, Any], limit: int) -> RenderableType:
    """Return what is shown of the answers of the admin API.

    Args:
        found: ``traffic``, ``lookups`` and ``not_stored``, as the API answers them.
        limit: how many of the last calls to list.
    """
    from rich.console import Group
    from rich.text import Text

    traffic = found["traffic"]
    parts: list[RenderableType] = [_summary(traffic), Text(), _curves(traffic), Text()]
    if traffic["hint"]:
        parts += [Text(clean(traffic["hint"])), Text()]
    parts.append(_calls(found["lookups"]["lookups"][:limit]))
    reasons = found["not_stored"]["reasons"][:5]
    if reasons:
        listed = ", ".join(f"{clean(one['reason'])} {number(one['count'])}" for one in reasons)
        parts += [Text(), Text(f"Not stored: {listed}", style="dim")]
    return Group(*parts)


def _summary(traffic: dict[str, Any]) -> RenderableType:
    from rich.text import Text

    total = traffic["total"]
    hits = sum(total[name] for name in ("exact", "near", "coalesced", "stale"))
    calls = hits + total["miss"] + total["error"]
    rate = f"{100 * hits / calls:.1f} %" if calls else "-"
    lines = Text()
    lines.append(f"Last {traffic['minutes']} min", style="bold")
    lines.append(f"  worker {clean(traffic['worker'])}  {number(calls)} calls  hit rate {rate}\n")
    lines.append("  ".join(f"{name} {number(total[name])}" for name in _OUTCOMES) + "\n")
    saved_ms, saved_usd = total["saved_ms"] or 0.0, total["saved_usd"] or 0.0
    lines.append(f"saved {money(saved_usd)} and {milliseconds(saved_ms)}  ")
    lines.append(f"hits p50 {_time(total['hit_p50_ms'])} p99 {_time(total['hit_p99_ms'])}  ")
    lines.append(f"misses p50 {_time(total['miss_p50_ms'])} p99 {_time(total['miss_p99_ms'])}")
    return lines


def _time(value: float | None) -> str:
    return "-" if value is None else milliseconds(value)


def _curves(traffic: dict[str, Any]) -> RenderableType:
    from rich.text import Text

    points = traffic["points"]
    hits = [sum(point[name] for name in ("exact", "near", "coalesced", "stale")) for point in points]
    misses = [point["miss"] + point["error"] for point in points]
    most = max([*hits, *misses, 1])
    lines = Text()
    lines.append(f"{'hits':<7}{_bars(hits, most)}\n", style="green")
    lines.append(f"{'misses':<7}{_bars(misses, most)}", style="yellow")
    return lines


def _bars(values: list[int], most: int) -> str:
    return "".join(_BARS[-(-value * (len(_BARS) - 1) // most)] for value in values)


def _calls(events: list[dict[str, Any]]) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for name, right in (("ago", 1), ("outcome", 0), ("similar", 1), ("took", 1), ("namespace", 0), ("prompt", 0)):
        table.add_column(name, justify="right" if right else "left", no_wrap=True, overflow="ellipsis")
    now = time.time()
    for one in events:
        shown = one["outcome"] if one["would"] is None else f"{one['outcome']} ({one['would']})"
        table.add_row(
            age(now - one["at"]),
            Text(clean(shown), style=_STYLES.get(one["outcome"], "")),
            "" if one["similarity"] is None else f"{one['similarity']:.3f}",
            milliseconds(one["duration_ms"]),
            Text(clean(one["namespace"])[:20]),
            Text(clean(one["prompt"] or "")[:200]),
        )
    return table
