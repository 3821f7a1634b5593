"""Places where a caller's name or secret can hide, one maker for each: the same value gives an equal caller.

Importable in another process, to see that keys are the same there.
"""

import collections
import contextvars
import dataclasses
import functools
import http.cookiejar
import threading
import types

import anthropic
import httpx
import httpx2
import ollama
import openai
import requests

from semantic_llm_cache import cache
from semantic_llm_cache.keys.binding import CallBinder
from semantic_llm_cache.keys.callable_scope import CallableScope
from semantic_llm_cache.keys.fingerprint import fingerprint_instance
from semantic_llm_cache.keys.request import Request

URL = "http://one.test/v1"
TOKEN = "global"


class Holder:
    """What people cache the methods of."""

    def __init__(self, **fields):
        vars(self).update(fields)

    def ask(self, prompt, model="m"): ...


class Slotted:
    __slots__ = ("__secret", "other")

    def __init__(self, secret):
        self.__secret, self.other = secret, 1

    def ask(self, prompt): ...

    def __call__(self, request):
        request.headers["Authorization"] = self.__secret
        return request


class SlottedAuth(httpx.Auth):
    __slots__ = ("secret",)

    def __init__(self, secret):
        self.secret = secret


class SlottedAuth2(httpx2.Auth):
    __slots__ = ("secret",)

    def __init__(self, secret):
        self.secret = secret


class Text(str):
    pass


class Numbers(list):
    pass


@dataclasses.dataclass
class Data:
    model: str = "m"


def closure(secret):
    def inner(request=None):
        return secret

    return inner


def later(secret):
    async def inner(request, call_next):
        return secret

    return inner


def nested_closure(secret):
    held = {"deep": [closure(secret)]}

    def inner(request=None):
        return held

    return inner


def defaults(secret):
    def inner(request=None, token=secret):
        return token

    return inner


def keyword_defaults(secret):
    def inner(request=None, *, token=secret):
        return token

    return inner


def method(secret):
    return Holder(secret=secret).ask


def partial(secret):
    return functools.partial(closure("x"), secret)


def local_auth(secret):
    class Inner(httpx.Auth):
        def auth_flow(self, request):
            request.headers["Authorization"] = secret
            yield request

    return Inner()


CALLABLES = {
    "closure": closure,
    "nested closure": nested_closure,
    "defaults": defaults,
    "keyword defaults": keyword_defaults,
    "method": method,
    "partial": partial,
    "slotted object": Slotted,
    "code": lambda secret: eval(f"lambda request=None: {secret!r}"),
    "attribute": lambda secret: marked(closure("x"), secret),
}


def marked(value, secret):
    value.secret = secret
    return value


def changed(value, **attributes):
    for name, item in attributes.items():
        setattr(value, name, item)
    return value


def cookie(secret):
    return http.cookiejar.Cookie(
        0, "id", secret, None, False, "one.test", True, False, "/", True, False, None, True, None, None, {}
    )


def with_cookie(client, secret):
    jar = client.cookies.jar if hasattr(client.cookies, "jar") else client.cookies
    jar.set_cookie(cookie(secret))
    return client


def session(**attributes):
    return changed(requests.Session(), **attributes)


def with_adapter(adapter):
    made = requests.Session()
    made.mount("https://", adapter)
    return made


class TokenAdapter(requests.adapters.HTTPAdapter):
    def __init__(self, secret):
        super().__init__()
        self.secret = secret


def transport(module, secret, asynchronous):
    kind = module.AsyncHTTPTransport if asynchronous else module.HTTPTransport
    return changed(kind(verify=False), secret=secret)


CLIENTS = {}
for module in (httpx, httpx2):
    for kind, name in ((module.Client, "Client"), (module.AsyncClient, "AsyncClient")):
        make = functools.partial(kind, verify=False)  # which spares reading the trusted certificates
        is_async = name == "AsyncClient"
        more = {
            "headers": lambda s, make=make: make(headers={"X-Any": s}),
            "header's name": lambda s, make=make: make(headers={f"X-{s}": "1"}),
            "user agent": lambda s, make=make: make(headers={"User-Agent": s}),
            "address": lambda s, make=make: make(base_url=f"http://{s}.test"),
            "user in the address": lambda s, make=make: make(base_url=f"http://{s}:x@one.test"),
            "query": lambda s, make=make: make(params={"key": s}),
            "password": lambda s, make=make: make(auth=("user", s)),
            "user": lambda s, make=make: make(auth=(s, "password")),
            "cookies": lambda s, make=make: make(cookies={"id": s}),
            "cookie jar": lambda s, make=make: with_cookie(make(), s),
            "proxy": lambda s, make=make: make(proxy=f"http://{s}:x@proxy.test"),
            "proxy's headers": lambda s, make=make, m=module: make(proxy=m.Proxy("http://p.test", headers={"X": s})),
            "local address": lambda s, make=make, m=module, a=is_async: make(
                transport=(m.AsyncHTTPTransport if a else m.HTTPTransport)(uds=s, verify=False)
            ),
            "transport's own": lambda s, make=make, m=module, a=is_async: make(transport=transport(m, s, a)),
            "attribute": lambda s, make=make: changed(make(), tenant=s),
            "request hook": lambda s, make=make: make(event_hooks={"request": [closure(s)]}),
            "response hook": lambda s, make=make: make(event_hooks={"response": [closure(s)]}),
            "mount": lambda s, make=make, m=module, a=is_async: make(
                mounts={f"http://{s}": m.MockTransport(closure("x"))}
            ),
            "mounted": lambda s, make=make, m=module, a=is_async: make(mounts={"http://": m.MockTransport(closure(s))}),
            "digest": lambda s, make=make, m=module: make(auth=m.DigestAuth("user", s)),
            "encoding": lambda s, make=make: make(default_encoding=s),
        }
        more.update(
            {f"auth: {kind}": lambda s, make=make, c=c: make(auth=c(s)) for kind, c in CALLABLES.items()}
            | {f"mock: {kind}": lambda s, make=make, m=module, c=c: make(transport=m.MockTransport(c(s)))
               for kind, c in CALLABLES.items()}
        )  # fmt: skip
        slotted = SlottedAuth if module is httpx else SlottedAuth2
        more["slotted auth"] = lambda s, make=make, slotted=slotted: make(auth=slotted(s))
        if module is httpx:
            more["auth of a local class"] = lambda s, make=make: make(auth=local_auth(s))
        CLIENTS.update({f"{module.__name__}.{name}, {place}": made for place, made in more.items()})
for make in (openai.OpenAI, openai.AsyncOpenAI):
    given = {"base_url": URL, "api_key": "k"}
    client = httpx2.AsyncClient if make is openai.AsyncOpenAI else httpx2.Client
    CLIENTS.update({
        f"{make.__name__}, {place}": (lambda s, make=make, options=options, given=given: make(**(given | options(s))))
        for place, options in {
            "key": lambda s: {"api_key": s},
            "address": lambda s: {"base_url": f"http://{s}.test"},
            "organisation": lambda s: {"organization": s},
            "project": lambda s: {"project": s},
            "webhook secret": lambda s: {"webhook_secret": s},
            "websocket": lambda s: {"websocket_base_url": f"ws://{s}.test"},
            "headers": lambda s: {"default_headers": {"X-Tenant": s}},
            "query": lambda s: {"default_query": {"tenant": s}},
            "client's cookies": lambda s, client=client: {"http_client": client(cookies={"id": s})},
            "client's auth": lambda s, client=client: {"http_client": client(auth=closure(s))},
            **{f"callable key: {kind}": (lambda s, c=c: {"api_key": c(s)}) for kind, c in CALLABLES.items()},
        }.items()
    })  # fmt: skip
CLIENTS.update({
    f"AzureOpenAI, {place}": (
        lambda s, options=options: openai.AzureOpenAI(
            **{"azure_endpoint": "http://one.test", "api_version": "1", **options(s)}
        )
    )
    for place, options in {
        "token": lambda s: {"azure_ad_token": s},
        "token provider": lambda s: {"azure_ad_token_provider": closure(s)},
        "key": lambda s: {"api_key": s},
        "deployment": lambda s: {"azure_deployment": s, "api_key": "k"},
        "endpoint": lambda s: {"azure_endpoint": f"http://{s}.test", "api_key": "k"},
        "version": lambda s: {"api_version": s, "api_key": "k"},
    }.items()
})  # fmt: skip
for make in (anthropic.Anthropic, anthropic.AsyncAnthropic):
    CLIENTS.update({
        f"{make.__name__}, {place}": (
            lambda s, make=make, options=options: make(**{"base_url": URL, "api_key": "k", **options(s)})
        )
        for place, options in {
            "key": lambda s: {"api_key": s},
            "token": lambda s: {"api_key": None, "auth_token": s},
            "webhook key": lambda s: {"webhook_key": s},
            "headers": lambda s: {"default_headers": {"X-Tenant": s}},
            "query": lambda s: {"default_query": {"tenant": s}},
            "middleware": lambda s, make=make: {"middleware": [(closure if make is anthropic.Anthropic else later)(s)]},
        }.items()
    })  # fmt: skip
CLIENTS.update({
    "ollama, headers": lambda s: ollama.Client(host=URL, headers={"X": s}),
    "ollama, auth": lambda s: ollama.AsyncClient(host=URL, auth=closure(s)),
    "ollama, cookies": lambda s: ollama.Client(host=URL, cookies={"id": s}),
    "requests, headers": lambda s: session(headers=requests.structures.CaseInsensitiveDict(X=s)),
    "requests, cookies": lambda s: with_cookie(requests.Session(), s),
    "requests, auth": lambda s: session(auth=("user", s)),
    "requests, auth object": lambda s: session(auth=requests.auth.HTTPBasicAuth("user", s)),
    "requests, digest": lambda s: session(auth=requests.auth.HTTPDigestAuth("user", s)),
    "requests, cert": lambda s: session(cert=(f"{s}.crt", "k.key")),
    "requests, verify": lambda s: session(verify=s),
    "requests, proxies": lambda s: session(proxies={"https": f"http://{s}@p.test"}),
    "requests, params": lambda s: session(params={"key": s}),
    "requests, hook": lambda s: session(hooks={"response": [closure(s)]}),
    "requests, adapter": lambda s: with_adapter(TokenAdapter(s)),
    "requests, mount": lambda s: session(adapters={f"https://{s}": requests.adapters.HTTPAdapter()}),
    **{f"requests, auth: {kind}": (lambda s, c=c: session(auth=c(s))) for kind, c in CALLABLES.items()},
})  # fmt: skip
CLIENTS.update({f"resource of {name}": lambda s, make=make: make(s).chat.completions
                for name, make in list(CLIENTS.items()) if name.startswith("OpenAI, ")})  # fmt: skip


def local(secret):
    return changed(threading.local(), tenant=secret)


def local_class(secret):
    class Inner(Holder):
        def header(self):
            return secret

    return Inner()


def with_class_attribute(secret):
    class Inner(Holder):
        tenant = secret

    return Inner()


def made_class(secret):
    return type("Made", (Holder,), {"tenant": secret})()


FIELDS = {
    "field": lambda s: Holder(tenant=s),
    "field's name": lambda s: Holder(**{f"a{s}": 1}),
    "nested": lambda s: Holder(options={"a": [1, {"b": s}]}),
    "private slot": Slotted,
    "thread's local": lambda s: Holder(state=local(s)),
    "namespace": lambda s: Holder(options=types.SimpleNamespace(tenant=s)),
    "beyond the fields": lambda s: Holder(options=changed(Data(), tenant=s)),
    "beyond a str": lambda s: Holder(name=changed(Text("a"), tenant=s)),
    "beyond a list": lambda s: Holder(items=changed(Numbers([1]), tenant=s)),
    "default dict": lambda s: Holder(options=collections.defaultdict(closure(s), a=1)),
    "class made inside": local_class,
    "attribute of a class made inside": with_class_attribute,
    "attribute of a class made by type()": made_class,
    "class itself": lambda s: Holder(kind=type(with_class_attribute(s))),
    **{f"callable: {kind}": (lambda s, c=c: Holder(callback=c(s))) for kind, c in CALLABLES.items()},
}


def key_of_instance(instance):
    return Request(scope={"self": fingerprint_instance(instance)}).key


def decorated(function):
    return CallBinder(function).bind(("q",), {}).key


def asking(secret):
    def ask(prompt):
        return secret

    return ask


def asking_deep(secret):
    def helper():
        return secret

    def ask(prompt):
        return helper()

    return ask


def asking_client(secret):
    client = openai.OpenAI(base_url=URL, api_key=secret)

    def ask(prompt):
        return client

    return ask


def wrapped(secret):
    @functools.wraps(asking)
    def ask(prompt):
        return secret

    return ask


def asking_helper(secret):
    exec_scope = {"__name__": __name__}
    exec(f"def outer():\n    def helper(): return {secret!r}\n    return helper", exec_scope)
    helper = exec_scope["outer"]()

    def ask(prompt):
        return helper()

    return ask


def asking_default(secret):
    def helper(token=secret):
        return token

    def ask(prompt):
        return helper()

    return ask


def asking_variable(secret):
    variable = contextvars.ContextVar("tenant")
    variable.set(secret)

    def ask(prompt):
        return variable.get()

    return ask


def asking_local(secret):
    held = local(secret)

    def ask(prompt):
        return held.tenant

    return ask


FUNCTIONS = {
    "code of a helper": asking_helper,
    "default of a helper": asking_default,
    "context variable in a closure": asking_variable,
    "thread's local in a closure": asking_local,
    "closure": asking,
    "closure's closure": asking_deep,
    "client in a closure": asking_client,
    "list in a closure": lambda s: asking([s]),
    "wrapped": wrapped,
    "lambda": lambda s: eval(f"lambda prompt: {s!r}"),
    "lambda's closure": lambda s: lambda prompt: s,
    "default": lambda s: with_default(s),
    "list as a default": lambda s: with_default([s]),
    "callable as a default": lambda s: with_default(closure(s)),
    "partial": lambda s: functools.partial(with_default("x"), token=s),
    "method": lambda s: Holder(tenant=s).ask,
    "cached function in a closure": lambda s: asking(cache(asking(s))),
}


def with_default(token):
    def ask(prompt, token=token):
        return token

    return ask


_scope = CallableScope("llm_func")
PLACES = {
    **{f"client: {name}": (lambda s, make=make: key_of_instance(Holder(client=make(s))))
       for name, make in CLIENTS.items()},
    **{f"client itself: {name}": (lambda s, make=make: key_of_instance(make(s)))
       for name, make in CLIENTS.items() if name.startswith(("httpx.Client", "requests", "ollama"))},
    **{f"self: {name}": (lambda s, make=make: key_of_instance(make(s))) for name, make in FIELDS.items()},
    **{f"function: {name}": (lambda s, make=make: decorated(make(s))) for name, make in FUNCTIONS.items()},
    **{f"argument: {name}": (lambda s, make=make: CallBinder(lambda prompt, given: 1).bind(("q", make(s)), {}).key)
       for name, make in CALLABLES.items()},
    **{f"llm_func: {name}": (lambda s, make=make: Request(scope=_scope.of(make(s))).key)
       for name, make in {**FUNCTIONS, **CALLABLES}.items() if name not in ("attribute",)},
}  # fmt: skip
"""Name -> from a caller's secret to the key of that caller's call."""


if __name__ == "__main__":
    for place in sorted(PLACES):
        print(place, PLACES[place]("secret-a"), sep="\t")
