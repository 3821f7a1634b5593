"""The pages of the dashboard: who gets them, with which headers, and how signing in works."""

import httpx
import pytest
from admin_helpers import TOKEN
from starlette.applications import Starlette
from starlette.routing import Mount

from semantic_llm_cache.server.admin import admin_routes
from semantic_llm_cache.server.dashboard import dashboard_routes
from semantic_llm_cache.server.dashboard.files import page
from semantic_llm_cache.server.operator import Operator

FORM = {"content-type": "application/x-www-form-urlencoded"}


def client(token=TOKEN, address="127.0.0.1", base="http://localhost", prefix="", **options):
    operator = Operator("memory://", **options)
    routes = [*dashboard_routes(operator, token), *admin_routes(operator, token)]
    app = Starlette(routes=[Mount(prefix, routes=routes)] if prefix else routes)
    transport = httpx.ASGITransport(app, client=(address, 5000))
    return httpx.AsyncClient(transport=transport, base_url=base)


async def test_without_the_token_there_is_only_the_form_to_sign_in():
    async with client() as opened:
        reply = await opened.get("/dashboard")
        assert (reply.status_code, reply.headers["location"]) == (303, "dashboard/login")
        form = await opened.get("/dashboard/login")
        assert (form.status_code, 'name="token"' in form.text) == (200, True)
        assert (await opened.get("/admin/stats")).status_code == 401


@pytest.mark.parametrize("prefix", ["", "/cache"])
async def test_the_token_gives_a_cookie_that_opens_page_and_api(prefix):
    async with client(prefix=prefix) as opened:
        reply = await opened.post(f"{prefix}/dashboard/login", data={"token": f" {TOKEN}\n"})
        assert (reply.status_code, reply.headers["location"]) == (303, "../dashboard")
        cookie = reply.headers["set-cookie"]
        assert TOKEN not in cookie
        assert {"HttpOnly", "SameSite=strict", f"Path={prefix or '/'}"} <= set(cookie.split("; "))
        assert (await opened.get(f"{prefix}/dashboard")).status_code == 200
        assert (await opened.get(f"{prefix}/admin/stats")).status_code == 200
        assert (await opened.get(f"{prefix}/dashboard/", follow_redirects=True)).url.path == f"{prefix}/dashboard"
        left = await opened.post(f"{prefix}/dashboard/logout")
        assert (left.status_code, left.headers["location"]) == (303, "login")
        assert (await opened.get(f"{prefix}/dashboard")).status_code == 303


async def test_a_link_of_another_site_finds_who_is_signed_in():
    async with client() as opened:
        assert (await opened.get("/dashboard/session")).json() == {"signed_in": False}
        await opened.post("/dashboard/login", data={"token": TOKEN})
        assert (await opened.get("/dashboard/session")).json() == {"signed_in": True}
        assert (await opened.get("/dashboard/session", headers={"sec-fetch-site": "cross-site"})).json() == {
            "signed_in": False
        }


async def test_over_tls_the_cookie_is_for_tls_alone():
    async with client(base="https://localhost") as opened:
        reply = await opened.post("/dashboard/login", data={"token": TOKEN})
        assert "Secure" in reply.headers["set-cookie"].split("; ")


FORMS = ["", "token=", "token=a-token-of-another-server", "token=%ed%a0%80", "token=" + "x" * 5000]


@pytest.mark.parametrize("form", FORMS)
async def test_a_wrong_token_is_refused(form):
    async with client() as opened:
        reply = await opened.post("/dashboard/login", content=form, headers=FORM)
        assert (reply.status_code, "set-cookie" in reply.headers) == (401, False)
        assert "not the token" in reply.text


@pytest.mark.parametrize("headers", [{"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}])
@pytest.mark.parametrize("path", ["login", "logout"])
async def test_a_form_of_another_site_is_refused(headers, path):
    async with client() as opened:
        reply = await opened.post(f"/dashboard/{path}", data={"token": TOKEN}, headers=headers)
        assert (reply.status_code, "set-cookie" in reply.headers) == (403, False)
        assert "Refused" in reply.text


async def test_without_a_token_only_this_machine_is_let_in():
    async with client(token=None) as opened:
        assert (await opened.get("/dashboard")).status_code == 200
        assert 'data-signed-in="no"' in (await opened.get("/dashboard")).text
        for headers in ({"host": "cache.example"}, {"x-forwarded-for": "10.0.0.1"}, {"sec-fetch-site": "cross-site"}):
            assert (await opened.get("/dashboard", headers=headers)).status_code == 403
    async with client(token=None, address="10.0.0.9") as opened:
        for path in ("/dashboard", "/admin/stats"):
            assert (await opened.get(path)).status_code == 403
        assert (await opened.post("/dashboard/login", data={"token": "x"})).status_code == 403


async def test_all_answers_forbid_what_no_page_needs():
    async with client(token=None) as opened:
        for path in ("", "/login", "/static/app.js", "/static/base.css", "/static/icon.svg", "/static/no"):
            headers = (await opened.get(f"/dashboard{path}")).headers
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "require-trusted-types-for 'script'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "same-origin")


async def test_pages_hold_no_script_or_style_of_their_own():
    async with client(token=None) as opened:
        for path in ("", "/login"):
            text = (await opened.get(f"/dashboard{path}")).text
            assert "<style" not in text
            assert " style=" not in text
            assert " on" not in "".join(part.partition(">")[0] for part in text.split("<"))
            assert text.count("<script") == text.count("<script src=") + text.count('<script type="module" src=')
            assert "http://" not in text
            assert "https://" not in text


async def test_files_are_checked_again_but_not_sent_again():
    async with client() as opened:
        reply = await opened.get("/dashboard/static/app.js")
        assert reply.headers["content-type"] == "text/javascript; charset=utf-8"
        assert reply.headers["cache-control"] == "no-cache"
        again = await opened.get("/dashboard/static/app.js", headers={"if-none-match": reply.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        for name in ("no.js", "dashboard.html", "..%2f__init__.py", "%00"):
            assert (await opened.get(f"/dashboard/static/{name}")).status_code == 404


def test_what_is_filled_into_a_page_is_text():
    assert "<b>" not in page("refused", reason="<b>'\"&")
    assert "&lt;b&gt;&#x27;&quot;&amp;" in page("refused", reason="<b>'\"&")
