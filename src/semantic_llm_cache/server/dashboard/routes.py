"""The routes of the dashboard: its page, the form to sign in, and the files that they load."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from semantic_llm_cache._version import __version__
from semantic_llm_cache.server.access import COOKIE, Access, AccessDenied
from semantic_llm_cache.server.dashboard.files import asset, page
from semantic_llm_cache.server.operator import Operator

__all__ = ["PREFIX", "dashboard_routes"]

PREFIX = "/dashboard"

_MOST_FORM = 4096
_HEADERS = {
    # Scripts may set text only: with no policy for trusted types, the browser refuses to take text as HTML.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # with "no-referrer", browsers say nothing of where a form comes from
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
Endpoint = Callable[[Request], Awaitable[Response]]


def dashboard_routes(operator: Operator, token: str | Mapping[str, str] | Access | None = None) -> list[Route]:
    """Return the routes of the dashboard, to mount beside `admin_routes` in a Starlette or FastAPI application.

    The page reads from the admin API, so mount both under the same prefix, with the same `Access`.

    Args:
        operator: what the admin API shows.
        token: who may see it: what `Access` takes, or an `Access`. None: only this machine.

    Raises:
        ValueError, TypeError: the token cannot be used.

    Example:
        >>> from semantic_llm_cache.server.operator import Operator
        >>> [route.path for route in dashboard_routes(Operator())][0]
        '/dashboard'
    """
    pages = _Pages(operator, token if isinstance(token, Access) else Access(token))
    return [
        Route(PREFIX, _guarded(pages.dashboard)),
        Route(f"{PREFIX}/", _guarded(_to_dashboard)),
        Route(f"{PREFIX}/login", _guarded(pages.login)),
        Route(f"{PREFIX}/login", _guarded(pages.sign_in), methods=["POST"]),
        Route(f"{PREFIX}/session", _guarded(pages.session)),
        Route(f"{PREFIX}/logout", _guarded(pages.sign_out), methods=["POST"]),
        Route(f"{PREFIX}/static/{{name}}", _guarded(_file)),
    ]


def _guarded(endpoint: Endpoint) -> Endpoint:
    """Add the headers that all answers have, and turn a refusal into a page."""

    async def answer(request: Request) -> Response:
        try:
            response = await endpoint(request)
        except AccessDenied as error:
            response = HTMLResponse(page("refused", reason=error.detail), error.status)
        for name, value in _HEADERS.items():
            response.headers[name] = value
        response.headers.setdefault("cache-control", "no-store")
        return response

    return answer


class _Pages:
    """The pages.

    Args:
        operator: what they show.
        access: who may see them.
    """

    def __init__(self, operator: Operator, access: Access) -> None:
        self._operator = operator
        self._access = access

    async def dashboard(self, request: Request) -> Response:
        try:
            self._access.check(request)
        except AccessDenied as error:
            if error.status != 401:
                raise
            return _to("dashboard/login")
        return HTMLResponse(
            page(
                "dashboard",
                version=__version__,
                worker=self._operator.worker,
                signed_in="yes" if self._access.has_token else "no",
            )
        )

    async def login(self, request: Request) -> Response:
        return self._form("")

    def _form(self, problem: str, status: int = 200) -> Response:
        return HTMLResponse(page("login", problem=problem), status)

    async def session(self, request: Request) -> Response:
        """Say whether the caller is signed in: browsers keep a strict cookie back when a link leads here."""
        try:
            self._access.check(request)
        except AccessDenied:
            return JSONResponse({"signed_in": False})
        return JSONResponse({"signed_in": True})

    async def sign_in(self, request: Request) -> Response:
        """Set the cookie for whoever gives the token."""
        self._access.check_origin(request)
        given = await _field(request, "token")
        session = self._access.session(given.strip()) if given else None
        if session is None:
            return self._form("This is not the token. Copy it again from where the server was set up.", 401)
        response = _to("../dashboard")
        response.set_cookie(
            COOKIE, session, path=request.scope.get("root_path") or "/", httponly=True, samesite="strict",
            secure=request.url.scheme == "https",
        )  # fmt: skip
        return response

    async def sign_out(self, request: Request) -> Response:
        self._access.check_origin(request)
        response = _to("login")
        response.delete_cookie(COOKIE, path=request.scope.get("root_path") or "/", httponly=True, samesite="strict")
        return response


async def _to_dashboard(request: Request) -> Response:
    return _to("../dashboard")


def _to(place: str) -> Response:
    # Relative, so that it works behind a prefix too.
    return RedirectResponse(place, 303)


async def _file(request: Request) -> Response:
    found = asset(request.path_params["name"])
    if found is None:
        return Response("there is no such file", 404, media_type="text/plain")
    headers = {"etag": found.etag, "cache-control": "no-cache"}
    if request.headers.get("if-none-match") == found.etag:
        return Response(b"", 304, headers)
    return Response(found.body, 200, {**headers, "content-type": found.media_type})


async def _field(request: Request, name: str) -> str:
    """Return a field of a form that was sent; "" if it is not there, or the form is too long."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _MOST_FORM:
            return ""
    fields = parse_qs(body.decode("utf-8", "replace"))
    return fields.get(name, [""])[0]
