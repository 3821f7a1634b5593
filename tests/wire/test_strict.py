"""Bodies that two parsers may read differently are not read here."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semantic_llm_cache.keys import request as requests
from semantic_llm_cache.wire import WireCache
from semantic_llm_cache.wire.strict import Bypass, read_object

URL = "http://h/v1/chat/completions"
GOOD = b'{"model": "m", "messages": [{"role": "user", "content": "hello"}], "x": 1}'

DIFFERENT = {
    "a name twice": GOOD.replace(b'"x": 1', b'"x": 1, "x": 2'),
    "the model twice": GOOD.replace(b'"x": 1', b'"model": "n"'),
    "a name twice, one escaped": GOOD.replace(b'"x": 1', b'"x": 1, "\\u0078": 2'),
    "a name twice inside": GOOD.replace(b'"content": "hello"', b'"content": "a", "content": "b"'),
    "equal values twice": GOOD.replace(b'"x": 1', b'"x": 1, "x": 1'),
    "NaN": GOOD.replace(b"1", b"NaN"),
    "infinity": GOOD.replace(b"1", b"-Infinity"),
    "a number past all floats": GOOD.replace(b"1", b"1e400"),
    "a number that becomes none": GOOD.replace(b"1", b"1e-400"),
    "a number between two floats": GOOD.replace(b"1", b"1.0000000000000001"),
    "a number of thousands of digits": GOOD.replace(b"1", b"1" * 5000),
    "an exponent past all bounds": GOOD.replace(b"1", b"1e99999999999999999999"),
    "half a pair": GOOD.replace(b"hello", b"\\ud800"),
    "half a pair in a name": GOOD.replace(b'"x"', b'"\\uDC00"'),
    "a byte that is no UTF-8": GOOD.replace(b"hello", b"\xff"),
    "half a pair in bytes": GOOD.replace(b"hello", b"\xed\xa0\x80"),
    "a byte order mark": b"\xef\xbb\xbf" + GOOD,
    "UTF-16": GOOD.decode().encode("utf-16"),
    "UTF-32": GOOD.decode().encode("utf-32-be"),
    "garbage behind": GOOD + b" x",
    "two objects": GOOD + GOOD,
    "a comment": GOOD.replace(b'"x": 1', b'"x": 1 /* x */'),
    "a comma too many": GOOD.replace(b'"x": 1', b'"x": 1,'),
    "another case": GOOD.replace(b'"x": 1', b'"Model": "n"'),
    "another case of stream": GOOD.replace(b'"x": 1', b'"STREAM": true'),
    "a letter that folds": GOOD.replace(b'"x": 1', '"ſtream": true'.encode()),
    "nested too deep": GOOD.replace(b"1", b"[" * 100_000 + b"]" * 100_000),
}  # fmt: skip


@pytest.mark.parametrize("body", DIFFERENT.values(), ids=DIFFERENT)
def test_what_parsers_read_differently_bypasses(body, caplog):
    with pytest.raises(Bypass):
        read_object(body)
    door = WireCache(backend="memory://")
    for _ in range(2):
        assert door.plan("POST", URL, [], body) is None
    (line,) = caplog.messages
    assert "bypasses the cache" in line
    assert "hello" not in line
    assert door.plan("POST", URL, [], GOOD) is not None


LONG = b'{"filler": [%s], ' % b", ".join([b'{"a": [1, 2], "b": "},{"}'] * 6_000)  # read in pieces


@pytest.mark.parametrize("body", [body for body in DIFFERENT.values() if body.startswith(b"{")])
def test_a_long_body_is_read_as_strictly(body):
    with pytest.raises(Bypass):
        read_object(LONG + body[1:])


def test_a_long_body_is_read_to_the_same():
    body = LONG + GOOD[1:]
    assert read_object(body) == json.loads(body)
    twice = LONG.replace(b'{"a": [1, 2], "b"', b'{"a": [1, 2], "a"', 1) + GOOD[1:]
    with pytest.raises(Bypass, match="twice"):
        read_object(twice)


def test_a_body_of_too_many_values_is_not_read():
    few, many = (b'{"model": "m", "input": [%s0]}' % (b"1," * times) for times in (300_000, 330_000))
    assert len(read_object(few)["input"]) == 300_001
    with pytest.raises(Bypass, match="more than 320,000 values"):
        read_object(many)


@pytest.mark.parametrize(
    "number", ["0.5", "0.50", "5e-1", "0.69999999999999996", "1E2", "100.0", "1e22", "-0.1", "5e-324"]
)
def test_other_spellings_of_a_float_are_read(number):
    assert read_object(b'{"x": %s}' % number.encode()) == {"x": float(number)}


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_is_read_as_written_by_python_and_in_17_digits(number):
    assert read_object(json.dumps({"x": number}).encode()) == {"x": number}
    text = f"{number:.17g}"
    assert read_object(b'{"x": %s}' % text.encode())["x"] == number


def test_pairs_of_surrogates_are_letters():
    assert read_object(b'{"x": "\\ud83d\\ude00"}') == {"x": "\U0001f600"}
    assert read_object(b"[1]") is None


def test_the_log_tells_each_reason_once_and_nothing_of_the_request(caplog):
    def scope():
        raise RuntimeError("s3cret")

    door = WireCache(backend="memory://", scope=scope)
    for body in (GOOD, GOOD, DIFFERENT["NaN"], DIFFERENT["a name twice"], DIFFERENT["NaN"]):
        assert door.plan("POST", URL, [], body) is None
    assert len(caplog.messages) == 3
    assert "RuntimeError" in caplog.text
    assert "s3cret" not in caplog.text


# ---------------------------------------------------------------------------- messages


def history(content):
    text, rest = requests.split_messages([{"role": "user", "content": content}])
    return requests.Request("n", rest, text).key


def part(text, **more):
    return {"type": "text", "text": text, **more}


CONTENTS = [
    "a\nb",
    [part("a"), part("b")],
    [part("a\nb"), part("c")],
    [part("a"), part("b\nc")],
    "a\nb\nc",
    [part("a\nb", citations=[1])],
    [part("a\nb", cache_control={"type": "ephemeral"})],
    [part("a\nb", custom=None)],
    [part("a", custom=1), part("b")],
    [part("a"), part("b", custom=1)],
    [{"type": "input_text", "text": "a\nb"}],
    [{"text": "a\nb"}],
    ["a\nb"],
    [part("a\nb"), {"type": "image_url", "image_url": {"url": "data:,x"}}],
    [{"type": "image_url", "image_url": {"url": "data:,x"}}, part("a\nb")],
    [part("a\nb"), {"type": "image_url", "image_url": {"url": "data:,y"}}],
    [],
    [None],
    [""],
    [part("")],
    [{"type": "input_text"}],
    [{"type": "input_text", "text": ""}],
    [part(""), part("")],
    None,
    {"lines": [0, 0]},
]


def test_each_content_is_a_question_of_its_own():
    keys = [history(content) for content in CONTENTS]
    same = {(a, b) for a in range(len(keys)) for b in range(a) if keys[a] == keys[b]}
    assert same == set()
    assert history([part("a\nb")]) == history("a\nb")  # one text part is what a plain string stands for


def test_a_field_of_a_turn_that_is_null_is_not_one_that_is_missing():
    plain = {"role": "user", "content": "a"}
    keys = {
        requests.Request("n", requests.split_messages([{**plain, **more}]).rest).key for more in ({}, {"name": None})
    }
    assert len(keys) == 2
