"""Callers that differ in one place never share a key, wherever the place; equal ones do."""

import gc
import os
import pathlib
import subprocess
import sys

import httpx
import pytest
import scope_places
from hypothesis import given, settings
from hypothesis import strategies as st
from scope_places import PLACES, Holder

from semantic_llm_cache import cache
from semantic_llm_cache.keys.fingerprint import fingerprint_instance

names = st.sampled_from(sorted(PLACES))
secrets = st.from_regex(r"[a-z][a-z0-9]{0,12}", fullmatch=True)


@pytest.mark.parametrize("place", sorted(PLACES))
def test_two_callers_that_differ_in_one_place_do_not_share(place):
    one, same, other = (PLACES[place](secret) for secret in ("secret-a", "secret-a", "secret-b"))
    assert one == same
    assert one != other


@settings(deadline=None, max_examples=60)
@given(names, secrets, secrets)
def test_callers_share_exactly_when_their_secrets_are_equal(place, one, other):
    assert (PLACES[place](one) == PLACES[place](other)) == (one == other)


def test_another_process_makes_the_same_keys():
    here = pathlib.Path(__file__).parent
    found = []
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join([str(here), *sys.path])}
        out = subprocess.run(
            [sys.executable, "-m", "scope_places"], env=environment, capture_output=True, text=True, check=True
        ).stdout
        found.append(dict(line.split("\t") for line in out.splitlines()))
    assert found[0].keys() == PLACES.keys()
    assert found[0] == found[1]
    for place in sorted(PLACES):
        assert found[0][place] == PLACES[place]("secret-a"), place


def test_no_secret_can_be_read_in_a_form():
    for name, make in scope_places.CLIENTS.items():
        form = fingerprint_instance(Holder(client=make("secret-a")))
        assert b"secret-a" not in form, name


def test_a_tenant_gone_leaves_nothing_for_the_next():
    """A new object may get the address of one that has just gone."""

    class Bot:
        def __init__(self, token):
            def auth(request):
                request.headers["Authorization"] = token
                return request

            self.client = httpx.Client(auth=auth, transport=httpx.MockTransport(lambda request: httpx.Response(200)))

        @cache
        def ask(self, prompt):
            return self.client._auth._func.__closure__[0].cell_contents

    gc.collect()
    gc.freeze()  # or each collection would look at all that the other tests have left
    try:
        for tenant in range(200):
            bot = Bot(f"tenant-{tenant}")
            assert bot.ask("q") == f"tenant-{tenant}"
            del bot
            gc.collect()
    finally:
        gc.unfreeze()
