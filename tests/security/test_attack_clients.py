"""Bots that hold an SDK or HTTP client. The clients differ in one place, which may name a tenant."""

import asyncio
import functools
import shutil
import ssl
import subprocess
from pathlib import Path

import anthropic
import attack_tools
import httpx
import httpx2
import ollama
import openai
import pytest
import requests
from attack_tools import apart, model, shared

from semantic_llm_cache import cache


class Bot:
    def __init__(self, client):
        self.client = client

    @cache
    def ask(self, prompt):
        return model()


class Signing:
    """Auth as users write it: the secret in a closure, a slot, or a private field."""

    def __init__(self, tenant):
        self._Signing__tenant = tenant

    def __call__(self, request):
        request.headers["authorization"] = self._Signing__tenant
        return request


class SlottedAuth(httpx.Auth):
    __slots__ = ("token",)

    def __init__(self, token):
        self.token = token

    def auth_flow(self, request):
        request.headers["authorization"] = self.token
        yield request


class ClosureAuth(httpx.Auth):
    def __init__(self, token):
        self.read = lambda: token


class QuietAuth(httpx.Auth):
    """Two are equal and look equal."""

    def __init__(self, token):
        self.token = token

    def __repr__(self):
        return "QuietAuth()"

    def __eq__(self, other):
        return True

    def __hash__(self):
        return 1


class RequestsAuth(requests.auth.AuthBase):
    __slots__ = ("token",)

    def __init__(self, token):
        self.token = token


def _closure(tenant):
    def sign(request):
        request.headers["authorization"] = tenant
        return request

    return sign


class Transport(httpx.BaseTransport):
    def __init__(self, tenant):
        self.tenant = tenant

    def handle_request(self, request):
        return httpx.Response(200, text=self.tenant)


class TenantClient(httpx.Client):
    def __init__(self, tenant):
        super().__init__()
        self._tenant = tenant


class TenantOpenAI(openai.OpenAI):
    def __init__(self, tenant):
        super().__init__(api_key="k")
        self.tenant = tenant

    @property
    def auth_headers(self):
        return {"Authorization": self.tenant}


def _context(cipher):
    context = ssl.create_default_context()
    context.set_ciphers(cipher)
    return context


def _session(**fields):
    made = requests.Session()
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def _mounted(tenant):
    class Adapter(requests.adapters.HTTPAdapter):
        def add_headers(self, request, **_):
            request.headers["authorization"] = tenant

    made = requests.Session()
    made.mount("https://", Adapter())
    return made


def _jar(client, tenant):
    client.cookies.set("session", tenant)
    return client


def _cookie_of_domain(domain):
    made = httpx.Client()
    made.cookies.set("session", "x", domain=domain)
    return made


def _late(client, **fields):
    for name, value in fields.items():
        setattr(client, name, value)
    return client


HTTP = {
    "cookies": lambda h, t: h(cookies={"session": t}),
    "cookies set later": lambda h, t: _jar(h(), t),
    "closure as auth": lambda h, t: h(auth=_closure(t)),
    "lambda as auth": lambda h, t: h(auth=lambda request: _closure(t)(request)),
    "partial as auth": lambda h, t: h(auth=functools.partial(_closure, t)),
    "object as auth": lambda h, t: h(auth=Signing(t)),
    "pair as auth": lambda h, t: h(auth=("user", t)),
    "event hook": lambda h, t: h(event_hooks={"request": [_closure(t)]}),
    "event hook set later": lambda h, t: _late(h(), event_hooks={"request": [_closure(t)]}),
    "proxy": lambda h, t: h(proxy=f"http://{t}:x@localhost:1"),
    "proxy by host": lambda h, t: h(proxy=f"http://{t}.localhost:1"),
    "header": lambda h, t: h(headers={"x-tenant": t}),
    "forwarded user": lambda h, t: h(headers={"x-forwarded-user": t}),
    "user agent": lambda h, t: h(headers={"accept-language": t}),
    "parameter": lambda h, t: h(params={"tenant": t}),
    "repeated parameter": lambda h, t: h(params=[("t", "a"), ("t", t)]),
    "base url": lambda h, t: h(base_url=f"https://{t}.example"),
    "user in base url": lambda h, t: h(base_url=f"https://{t}:x@example.com"),
    "attribute": lambda h, t: _late(h(), tenant=t),
}

CASES = {}
for _library in (httpx, httpx2):
    for _kind in (_library.Client, _library.AsyncClient):
        for _name, _make in HTTP.items():
            CASES[f"{_library.__name__}.{_kind.__name__}: {_name}"] = functools.partial(_make, _kind)

CASES |= {
    "httpx: auth in a slot": lambda t: httpx.Client(auth=SlottedAuth(t)),
    "httpx: auth in a closure of an object": lambda t: httpx.Client(auth=ClosureAuth(t)),
    "httpx: auth that looks equal": lambda t: httpx.Client(auth=QuietAuth(t)),
    "httpx: digest auth": lambda t: httpx.Client(auth=httpx.DigestAuth("user", t)),
    "httpx: netrc-like auth": lambda t: httpx.Client(auth=httpx.BasicAuth("user", t)),
    "httpx: transport": lambda t: httpx.Client(transport=Transport(t)),
    "httpx: mounted transport": lambda t: httpx.Client(mounts={"https://": Transport(t)}),
    "httpx: pattern of a mount": lambda t: httpx.Client(mounts={f"https://{t}.example": Transport("x")}),
    "httpx: address of the socket": lambda t: httpx.Client(
        transport=httpx.HTTPTransport(local_address="127.0.0.1" if t == "a" else "127.0.0.2")
    ),
    "httpx: unix socket": lambda t: httpx.Client(transport=httpx.HTTPTransport(uds=f"/tmp/{t}.sock")),
    "httpx: certificates": lambda t: httpx.Client(verify=_context("AES128-SHA" if t == "a" else "AES256-SHA")),
    "httpx: no verification": lambda t: httpx.Client(verify=t == "a"),
    "httpx: domain of a cookie": lambda t: _cookie_of_domain(f"{t}.example"),
    "httpx: subclass": TenantClient,
    "requests: cookies": lambda t: _session(cookies=requests.cookies.cookiejar_from_dict({"session": t})),
    "requests: certificate": lambda t: _session(cert=f"/certs/{t}.pem"),
    "requests: verification": lambda t: _session(verify=f"/certs/{t}.pem"),
    "requests: proxies": lambda t: _session(proxies={"https": f"http://{t}:x@localhost:1"}),
    "requests: hooks": lambda t: _session(hooks={"response": [_closure(t)]}),
    "requests: auth": lambda t: _session(auth=("user", t)),
    "requests: closure as auth": lambda t: _session(auth=_closure(t)),
    "requests: slotted auth": lambda t: _session(auth=RequestsAuth(t)),
    "requests: parameters": lambda t: _session(params={"tenant": t}),
    "requests: header": lambda t: _session(headers={"x-tenant": t}),
    "requests: adapter": _mounted,
    "requests: attribute": lambda t: _session(tenant=t),
    "requests: environment": lambda t: _session(trust_env=t == "a"),
    "ollama: header": lambda t: ollama.Client(headers={"x-tenant": t}),
    "ollama: host": lambda t: ollama.Client(host=f"http://{t}.localhost:1"),
    "ollama: cookies": lambda t: ollama.Client(cookies={"session": t}),
    "ollama: closure as auth": lambda t: ollama.Client(auth=_closure(t)),
    "ollama: event hooks": lambda t: ollama.Client(event_hooks={"request": [_closure(t)]}),
    "ollama: attribute": lambda t: _late(ollama.Client(), tenant=t),
    "openai: subclass": TenantOpenAI,
}

OPENAI = {
    "key": {"api_key": "{t}"},
    "organization": {"organization": "{t}"},
    "project": {"project": "{t}"},
    "base url": {"base_url": "https://{t}.example/v1"},
    "websocket url": {"websocket_base_url": "wss://{t}.example/v1"},
    "default header": {"default_headers": {"x-tenant": "{t}"}},
    "default forwarded header": {"default_headers": {"x-forwarded-user": "{t}"}},
    "default query": {"default_query": {"tenant": "{t}"}},
}


def _filled(options, tenant):
    if isinstance(options, str):
        return options.replace("{t}", tenant)
    return {name: _filled(value, tenant) for name, value in options.items()}


def _azure(tenant, **options):
    base = {"azure_endpoint": "https://x.example", "api_version": "1", "api_key": "k", **options}
    return openai.AzureOpenAI(**{name: value for name, value in base.items() if value is not None})


def _sdk(kind, tenant, **options):
    return kind(**{"api_key": "k", **_filled(options, tenant)})


for _kind in (openai.OpenAI, openai.AsyncOpenAI):
    for _name, _options in OPENAI.items():
        CASES[f"{_kind.__name__}: {_name}"] = functools.partial(
            lambda kind, options, t: _sdk(kind, t, **options), _kind, _options
        )
    for _name, _make in HTTP.items():
        _http = httpx2.Client if _kind is openai.OpenAI else httpx2.AsyncClient
        CASES[f"{_kind.__name__}: {_name} of its HTTP client"] = functools.partial(
            lambda kind, http, make, t: kind(api_key="k", http_client=make(http, t)), _kind, _http, _make
        )


async def _key(tenant):
    return tenant


CASES |= {
    "OpenAI: key from a closure": lambda t: openai.OpenAI(api_key=lambda: t),
    "AsyncOpenAI: key from a closure": lambda t: openai.AsyncOpenAI(api_key=functools.partial(_key, t)),
    "OpenAI: key set later": lambda t: _late(openai.OpenAI(api_key="k"), api_key=t),
    "OpenAI: attribute set later": lambda t: _late(openai.OpenAI(api_key="k"), tenant=t),
    "OpenAI: header set later": lambda t: _late(openai.OpenAI(api_key="k"), _custom_headers={"x-tenant": t}),
    "OpenAI: with_options": lambda t: openai.OpenAI(api_key="k").with_options(default_headers={"x-tenant": t}),
    "OpenAI: resource": lambda t: openai.OpenAI(api_key="k", default_headers={"x-tenant": t}).chat.completions,
    "OpenAI: raw resource": lambda t: openai.OpenAI(api_key=t).chat.completions.with_raw_response,
    "OpenAI: method": lambda t: openai.OpenAI(api_key=t).chat.completions.create,
    "Azure: token": lambda t: _azure(t, api_key=None, azure_ad_token=t),
    "Azure: token provider": lambda t: _azure(t, api_key=None, azure_ad_token_provider=lambda: t),
    "Azure: deployment": lambda t: _azure(t, azure_deployment=t),
    "Azure: endpoint": lambda t: _azure(t, azure_endpoint=f"https://{t}.example"),
    "Azure: version": lambda t: _azure(t, api_version=t),
    "Azure: organization": lambda t: _azure(t, organization=t),
    "Anthropic: key": lambda t: anthropic.Anthropic(api_key=t),
    "Anthropic: token": lambda t: anthropic.Anthropic(auth_token=t),
    "Anthropic: header": lambda t: anthropic.Anthropic(api_key="k", default_headers={"x-tenant": t}),
    "Anthropic: query": lambda t: anthropic.Anthropic(api_key="k", default_query={"tenant": t}),
    "Anthropic: base url": lambda t: anthropic.Anthropic(api_key="k", base_url=f"https://{t}.example"),
    "Anthropic: attribute": lambda t: _late(anthropic.Anthropic(api_key="k"), tenant=t),
    "Anthropic: messages": lambda t: anthropic.Anthropic(api_key=t).messages,
}


def _bedrock(**options):
    base = {"aws_region": "r", "aws_access_key": "k", "aws_secret_key": "s", "aws_session_token": "t"}
    return anthropic.AnthropicBedrock(**{**base, **options})


def _vertex(**options):
    return anthropic.AnthropicVertex(**{"region": "r", "project_id": "p", "access_token": "t", **options})


CASES |= {
    "Bedrock: region": lambda t: _bedrock(aws_region=t),
    "Bedrock: access key": lambda t: _bedrock(aws_access_key=t),
    "Bedrock: secret key": lambda t: _bedrock(aws_secret_key=t),
    "Bedrock: session token": lambda t: _bedrock(aws_session_token=t),
    "Bedrock: profile": lambda t: _bedrock(
        aws_profile=t, aws_access_key=None, aws_secret_key=None, aws_session_token=None
    ),
    "Vertex: region": lambda t: _vertex(region=t),
    "Vertex: project": lambda t: _vertex(project_id=t),
    "Vertex: token": lambda t: _vertex(access_token=t),
}


def _close(client):
    for held in (client, getattr(client, "_client", None)):
        close = getattr(held, "close", None) or getattr(held, "aclose", None)
        if close is not None:
            found = close()
            if asyncio.iscoroutine(found):
                found.close()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_clients_that_differ_in_one_place(name, monkeypatch):
    for variable in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    try:
        one, other = CASES[name]("a"), CASES[name]("b")
    except (TypeError, ImportError, openai.OpenAIError, anthropic.AnthropicError) as error:
        pytest.skip(f"this version has no such client: {error}")
    try:
        apart(lambda: Bot(one).ask("q"), lambda: Bot(other).ask("q"))
        apart(lambda: Bot({"inner": [other]}).ask("q"), lambda: Bot({"inner": [one]}).ask("q"))
    finally:
        _close(one)
        _close(other)


@pytest.mark.parametrize(
    "make",
    [
        lambda: openai.OpenAI(api_key="k", base_url="https://x.example/v1", timeout=1),
        lambda: anthropic.Anthropic(api_key="k", base_url="https://x.example"),
        lambda: httpx.Client(headers={"x-tenant": "a"}),
    ],
    ids=["openai", "anthropic", "httpx"],
)
def test_equal_clients_share(make):
    shared(lambda: Bot(make()).ask("q"), lambda: Bot(make()).ask("q"))


@pytest.mark.filterwarnings("ignore:.*has changed between calls")
def test_a_client_that_changes_between_calls_is_another_caller():
    changes = {
        "cookies": lambda client: client.cookies.set("session", "b"),
        "headers": lambda client: client.headers.update({"x-tenant": "b"}),
        "auth": lambda client: setattr(client, "auth", ("user", "b")),
        "hooks": lambda client: client.event_hooks.__setitem__("request", [_closure("b")]),
        "hooks in place": lambda client: client.event_hooks["request"].append(_closure("b")),
        "parameters": lambda client: setattr(client, "params", {"tenant": "b"}),
        "base url": lambda client: setattr(client, "base_url", "https://b.example"),
    }
    leaked = []
    for name, change in changes.items():
        with httpx.Client() as client:
            bot = Bot(client)
            first = attack_tools.told(lambda bot=bot: bot.ask("q"))
            change(client)
            if attack_tools.told(lambda bot=bot: bot.ask("q")) == first:
                leaked.append(name)
    assert leaked == []


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Return the paths of two client certificates, each in a file with its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    folder, paths = tmp_path_factory.mktemp("certificates"), []
    for tenant in ("a", "b"):
        path = folder / f"{tenant}.pem"
        command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={tenant}", "-days", "2"]
        subprocess.run([*command, "-keyout", path, "-out", f"{path}.crt"], check=True, capture_output=True)
        path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
        paths.append(path)
    return paths


@pytest.mark.parametrize("kind", ["httpx", "httpx2"])
def test_clients_that_differ_in_their_certificate(kind, certificates):
    clients = []
    for path in certificates:
        context = ssl.create_default_context()
        context.load_cert_chain(path)
        clients.append({"httpx": httpx, "httpx2": httpx2}[kind].Client(verify=context))
    with clients[0] as one, clients[1] as other:
        apart(lambda: Bot(one).ask("q"), lambda: Bot(other).ask("q"))
