"""`semantic-llm-cache dashboard`: look into a cache with a browser, without a server of its own."""

from __future__ import annotations

import os
import secrets
import socket
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import quote

import click

from semantic_llm_cache._installation import install
from semantic_llm_cache.cli.common import CommandError, cache_options, open_backend, run_async
from semantic_llm_cache.cli.output import clean, say
from semantic_llm_cache.cli.parsing import Args, Number, command, option
from semantic_llm_cache.cli.top import TOKEN_VARIABLE, read_token

if TYPE_CHECKING:
    from semantic_llm_cache.server.access import Access

__all__ = ["dashboard_command"]

_PORT = Number("a port from 0 to 65535", 0, 65535, whole=True)
_NEEDED = ("starlette", "uvicorn", "pydantic")


@command(
    "dashboard",
    "dashboard --db cache.db",
    "dashboard --url redis://localhost:6379/0 --port 9000 --no-open",
)
@option("--port", type=_PORT, default=8421, metavar="N", help="Port to listen on; 0: a free one.")
@option("--host", default="127.0.0.1", metavar="ADDRESS", help="Address to listen on.")
@option(
    "--token-file",
    metavar="PATH",
    type=click.Path(),
    help=f"File with the admin token (default: the variable {TOKEN_VARIABLE}, or a new one).",
)
@option("--no-open", is_flag=True, show_default=False, help="Do not open a browser.")
@option("--hide-text", is_flag=True, show_default=False, help="Do not show prompts and answers.")
@cache_options(with_json=False)
def dashboard_command(args: Args) -> int:
    """Look into a cache with a browser: entries, totals, scopes, health, reports.

    It serves the dashboard on this machine until you press Ctrl-C, and prints its address with a token. Live traffic
    and thresholds show only in the dashboard of the program that uses the cache: see docs/dashboard.md.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise CommandError(f"dashboard needs {', '.join(missing)}: run  {install('server')}", code=2)
    from semantic_llm_cache.server.access import check_exposure

    access, token = _access(args)
    try:
        check_exposure(args.host, access)
    except ValueError as error:
        raise CommandError(f"{error}; put it into --token-file", code=2) from error
    return run_async(_serve(args, access, token))


def _access(args: Args) -> tuple[Access, str]:
    """Return who may use the dashboard, and the token to print: "" for one that is given, or where none can be used."""
    from semantic_llm_cache.server.access import Access, is_loopback

    given = read_token(args.token_file)
    if given:
        try:
            return Access(given), ""
        except ValueError as error:
            raise CommandError(str(error), code=2) from error
    if not is_loopback(args.host):
        return Access(), ""
    token = secrets.token_urlsafe()
    return Access(token), token


async def _serve(args: Args, access: Access, token: str) -> int:
    from semantic_llm_cache.server.dashboard.running import create_dashboard, listen, serve_dashboard
    from semantic_llm_cache.server.operator import Operator

    async with open_backend(args) as backend:
        await backend.get_stats()  # a storage that cannot be read is an error here, not on the page
        operator = Operator(backend, show_text=not args.hide_text)
        try:
            listener = listen(args.host, args.port)
        except OSError as error:
            raise CommandError(
                f"cannot listen on {clean(args.host)} port {args.port}: {error.strerror or error}. "
                "Name another one with --port; 0 takes a free one"
            ) from error
        address = _address(listener, token)

        def ready() -> None:
            say(f"Dashboard: {address}\nCtrl-C ends it.")
            if not args.no_open:
                _open(address)

        with listener:
            await serve_dashboard(create_dashboard(operator, access), listener, ready)
        operator.close()
    return 0


def _address(listener: socket.socket, token: str) -> str:
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    page = f"http://{shown}:{port}/dashboard"
    # After the "#": that part is never sent to a server, so it is in no log.
    return f"{page}/login#token={quote(token)}" if token else page


def _open(address: str) -> None:
    import webbrowser

    has_screen = os.name == "nt" or os.uname().sysname == "Darwin" or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    )  # fmt: skip
    if has_screen:  # elsewhere it might open a browser for terminals in this one
        webbrowser.open(address)
