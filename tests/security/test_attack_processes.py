"""Two processes on one file, with other hash seeds: equal names and addresses there are not equal callers."""

import os
import subprocess
import sys
import textwrap

CHILD = """
import sys
from semantic_llm_cache import CachedLLM, cache

path, tenant = sys.argv[1:]
url = "sqlite:///" + path

def make(tenant):
    @cache(backend=url)
    def ask(prompt):
        return f"answer for {tenant}"
    return ask

def factory_lambda(tenant):
    return cache(backend=url)(lambda prompt: f"answer for {tenant}")

if tenant == "a":
    bare = cache(backend=url)(lambda prompt: "answer for a")
else:
    bare = cache(backend=url)(lambda prompt: "answer for b")

class Bot:
    def __init__(self, groups):
        self.groups = groups
    @cache(backend=url)
    def ask(self, prompt):
        return f"answer for {tenant}"

class Client:
    def __init__(self, tenant):
        self.sign = lambda request: tenant

from semantic_llm_cache import CacheKeyError

def held():
    try:
        return Bot(Client(tenant)).ask("q")
    except CacheKeyError:
        return f"answer for {tenant}"

print(make(tenant)("q"))
print(factory_lambda(tenant)("q"))
print(bare("q"))
print(Bot(frozenset({"x", "y", "z", tenant})).ask("q"))
print(Bot({name: 1 for name in ("x", "y", tenant)}).ask("q"))
print(held())
llm = CachedLLM("other", "m", backend=url)
print(llm.chat("q", llm_func=lambda prompt: f"answer for {tenant}"))
"""

COUNTING = """
import sys
from semantic_llm_cache import cache

class Bot:
    def __init__(self, groups):
        self.groups = groups
    @cache(backend="sqlite:///" + sys.argv[1])
    def ask(self, prompt):
        return sys.argv[2]

print(Bot([{"a", "b", "c", ("d", "e")}, frozenset("fgh"), {"i": {1, 2}, "j": None}]).ask("q"))
"""


def _child(folder, script, seed, *arguments):
    path = folder / "app.py"
    path.write_text(textwrap.dedent(script))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(path), *arguments],
        env={**os.environ, "PYTHONHASHSEED": str(seed)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


def test_two_processes_on_one_file_with_other_hash_seeds(tmp_path):
    file = str(tmp_path / "cache.db")
    assert set(_child(tmp_path, CHILD, 1, file, "a")) == {"answer for a"}
    assert set(_child(tmp_path, CHILD, 2, file, "b")) == {"answer for b"}


def test_equal_callers_of_two_processes_share(tmp_path):
    file = str(tmp_path / "cache.db")
    assert _child(tmp_path, COUNTING, 1, file, "first") == ["first"]
    assert _child(tmp_path, COUNTING, 2, file, "second") == ["first"]
