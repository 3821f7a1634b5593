"""Two requests at the wire that differ in one place never share, unless that place is in a table of neutral names.

The space: requests of every format; a header added, taken away, changed, doubled, or two of one name exchanged, with
names from the tables, from identity proxies and made up; the same for members of cookies and baggage; scheme, host,
port, path, user info and query, repeated keys included; any field of the body at any depth, any order of a list; what
carries the request.
"""

import copy
import json

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from semantic_llm_cache.keys.request import clean_text
from semantic_llm_cache.wire import FORMATS, WireCache
from semantic_llm_cache.wire.neutral import HEADERS, MEMBERS, STREAM_OPTIONS, VALUES, is_sdk_build

DOOR = WireCache(backend="memory://")
ASKED = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hi"},
    {"role": "user", "content": [{"type": "text", "text": "Why?"}, {"type": "image", "source": {"data": "aGk="}}]},
]
BODIES = {
    "openai.chat": {"messages": ASKED, "stream_options": {"include_usage": True}},
    "openai.responses": {"input": ASKED, "instructions": "Be brief."},
    "openai.embeddings": {"input": ["a", "b"]},
    "anthropic.messages": {"messages": ASKED[1:], "system": [{"type": "text", "text": "Be brief."}], "max_tokens": 9},
    "ollama.chat": {"messages": ASKED, "options": {"num_ctx": 9}, "keep_alive": "5m"},
    "ollama.generate": {"prompt": "Why?", "system": "Be brief."},
    "ollama.embed": {"input": ["a", "b"]},
}
TOLD = {
    "model": "m", "stream": False, "temperature": 0.5, "tools": [{"name": "t", "input_schema": {"type": "object"}}],
    "metadata": {"user_id": "u"},
}  # fmt: skip
HEADERS_GIVEN = [
    ("host", "gateway:8080"), ("authorization", "Bearer a"), ("content-type", "application/json"),
    ("user-agent", "AsyncOpenAI/Python 3.57.0"), ("x-tenant", "a"), ("x-tenant", "b"),
    ("cookie", "__cf_bm=1; id=a; id=b"),
]  # fmt: skip

TOKEN = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=12)
IDENTITY = st.sampled_from(
    ["x-forwarded-user", "x-forwarded-client-cert", "cf-access-jwt-assertion", "host", "forwarded", "x-real-ip",
     "sec-ch-ua", "accept-language", "x-stainless-tenant", "x-cache-tenant", "x-datadog-origin", "baggage", "cookie",
     "user-agent", "origin", "x-amzn-oidc-data", "openai-organization", "api-key", ":authority"]
)  # fmt: skip
NAME = IDENTITY | st.sampled_from([*HEADERS, *VALUES, *MEMBERS]) | TOKEN | TOKEN.map(lambda name: f"x-{name}")
VALUE = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=12) | st.sampled_from(
    ["a", "b", "a, b", "__cf_bm=1", "id=a", "gateway:8080", "application/json", "close", "python-httpx/1.0"]
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: number != 0)
    | st.text(st.characters(codec="utf-8"), max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TOKEN, inner, max_size=3),
    max_leaves=6,
)


def key(request):
    """Return a request's key; None when it bypasses the cache, and so shares with nobody."""
    data = json.dumps(request["body"]).encode()
    url = "{scheme}://{user}{host}{path}{query}".format(**request)
    plan = DOOR.plan("POST", url, request["headers"], data, carrier=request["carrier"])
    return None if plan is None else plan.request.key


def counts(name, value):
    """Tell, by the tables alone, whether a header may count."""
    name = name.lower()
    if name in HEADERS or (name in VALUES and value.lower() in VALUES[name][0]):
        return False
    if name in MEMBERS:
        return bool(members(name, value))
    return not (name == "user-agent" and is_sdk_build(value)) and (name, value.lower()) != ("host", "gateway:8080")


def members(name, value):
    separator, neutral = MEMBERS[name]
    if '"' in value:
        return [value]
    parts = [part.strip(" \t") for part in value.split(separator)]
    plain = set("._~%+/=:|-")
    return [
        part
        for part in parts
        if part
        and not (
            part.partition("=")[0] in neutral
            and "=" in part
            and all(c.isascii() and (c.isalnum() or c in plain) for c in part.partition("=")[2])
        )
    ]


def told(headers):
    """Return what counts of headers by the tables: for each name its values, in order."""
    found = {}
    for name, value in headers:
        if counts(name, value):
            said = members(name.lower(), value) if name.lower() in MEMBERS else value
            found.setdefault(name.lower(), []).append(said)
    return found


@st.composite
def requests(draw):
    known = draw(st.sampled_from(FORMATS))
    return known, {
        "scheme": "https",
        "user": draw(st.sampled_from(["", "u:p@"])),
        "host": "gateway:8080",
        "path": f"/tenant{draw(st.sampled_from(known.paths))}",
        "query": draw(st.sampled_from(["", "?v=1", "?v=1&v=2"])),
        "headers": draw(st.permutations(HEADERS_GIVEN)),
        "body": copy.deepcopy({**TOLD, **BODIES[known.name]}),
        "carrier": None,
    }


@settings(max_examples=400, deadline=None)
@given(requests(), st.data())
def test_headers(asked, data):
    _, one = asked
    other = {**one, "headers": list(one["headers"])}
    place = data.draw(st.integers(0, len(one["headers"]) - 1))
    change = data.draw(st.sampled_from(["add", "drop", "value", "twice", "exchange"]))
    name, value = other["headers"][place]
    if change == "add":
        other["headers"].insert(place, (data.draw(NAME), data.draw(VALUE)))
    elif change == "drop":
        del other["headers"][place]
    elif change == "value":
        other["headers"][place] = (name, data.draw(VALUE | NAME.map(lambda member: f"{value}; {member}=1")))
    elif change == "twice":
        other["headers"].insert(place, (name, value))
    else:
        at = data.draw(st.integers(0, len(one["headers"]) - 1))
        other["headers"][place], other["headers"][at] = other["headers"][at], other["headers"][place]
    found = key(other)
    if told(one["headers"]) == told(other["headers"]):
        assert found in (key(one), None)
    else:
        assert found != key(one)


@settings(max_examples=200, deadline=None)
@given(requests(), st.data())
def test_members_of_a_header(asked, data):
    _, one = asked
    name = data.draw(st.sampled_from(list(MEMBERS)))
    separator, neutral = MEMBERS[name]
    member = st.builds("{}={}".format, TOKEN | st.sampled_from([*neutral, "CF_Authorization", "tenant"]), VALUE)
    given_ = data.draw(st.lists(member, min_size=1, max_size=4))
    changed = list(given_)
    place = data.draw(st.integers(0, len(given_) - 1))
    if data.draw(st.booleans()):
        changed[place] = data.draw(member)
    else:
        changed = data.draw(st.permutations(given_))
    plain = [(header, value) for header, value in one["headers"] if header != name]
    one["headers"] = [*plain, (name, separator.join(given_))]
    other = {**one, "headers": [*plain, (name, separator.join(changed))]}
    if told(one["headers"]) == told(other["headers"]):
        assert key(other) == key(one)
    else:
        assert key(other) != key(one)


PLACES = {
    "scheme": st.sampled_from(["http", "HTTPS", "https"]),
    "user": st.sampled_from(["", "u@", "u:@", ":p@", "u:p@", ":u@", "u:None@", "v:p@"]),
    "host": st.sampled_from(["gateway:8080", "gateway", "gateway:443", "Gateway:8080", "other:8080", "10.0.0.1:8080"]),
    "query": (
        st.lists(st.builds("{}={}".format, st.sampled_from("abv"), st.sampled_from("12")), max_size=3)
        | st.permutations(["v=1", "v=2"])
    ).map(lambda pairs: f"?{'&'.join(pairs)}" if pairs else ""),
    "carrier": st.none() | TOKEN,
}


@settings(max_examples=200, deadline=None)
@given(requests(), st.data())
def test_addresses(asked, data):
    _, one = asked
    one["headers"] = [header for header in one["headers"] if header[0] != "host"]
    place = data.draw(st.sampled_from([*PLACES, "path"]))
    new = data.draw(TOKEN.map(lambda name: f"/{name}{one['path']}") if place == "path" else PLACES[place])
    other = {**one, place: new}
    same = new == one[place] or (place in ("scheme", "host") and new.lower() == one[place])
    assert (key(other) == key(one)) == same


def places(value, at=()):
    yield at
    if isinstance(value, dict):
        for name, item in value.items():
            yield from places(item, (*at, name))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from places(item, (*at, number))


def without_neutral(known, body):
    """Return a body less what the tables leave out."""
    kept = {n: v for n, v in body.items() if n not in known.neutral or (n == "stream" and not isinstance(v, bool))}
    options = kept.get("stream_options")
    if known.stream_options and isinstance(options, dict):
        rest = {n: v for n, v in options.items() if n not in STREAM_OPTIONS or not isinstance(v, bool)}
        kept["stream_options"] = rest
        if options and not rest:
            del kept["stream_options"]
    return kept


@settings(max_examples=600, deadline=None)
@given(requests(), st.data())
def test_bodies(asked, data):
    known, one = asked
    other = {**one, "body": copy.deepcopy(one["body"])}
    at = data.draw(st.sampled_from([place for place in places(one["body"]) if place]))
    holder = other["body"]
    for step in at[:-1]:
        holder = holder[step]
    change = data.draw(st.sampled_from(["value", "drop", "add", "turn"]))
    value = holder[at[-1]]
    if change == "value":
        holder[at[-1]] = data.draw(JSON)
    elif change == "drop":
        del holder[at[-1]]
    elif change == "add":
        name = data.draw(TOKEN)
        target = value if isinstance(value, dict) else other["body"]
        assume(name not in target)
        target[name] = data.draw(JSON)
    else:
        assume(isinstance(value, list))
        holder[at[-1]] = data.draw(st.permutations(value))
    first, second = key(one), key(other)
    assert first is not None
    if meaning(without_neutral(known, other["body"])) == meaning(without_neutral(known, one["body"])):
        assert second in (first, None)
    else:
        assert second != first


def meaning(body):
    """Return a body as text; strings as both tiers see a prompt."""

    def clean(value):
        if isinstance(value, str):
            return clean_text(value)
        if isinstance(value, dict):
            return {name: clean(item) for name, item in value.items()}
        return [clean(item) for item in value] if isinstance(value, list) else value

    return json.dumps(clean(body), sort_keys=True)
