"""What dies while a process forks: a finalizer that takes a lock which the fork holds must not hang the child."""

import subprocess
import sys

CODE = """
import gc, os, signal, sys, weakref
from semantic_llm_cache.runtime import background
from semantic_llm_cache.engine import state
from semantic_llm_cache.backends import MemoryBackend
from semantic_llm_cache.runtime.fork import fork_safe_lock

lock = fork_safe_lock()
seen = []

class Thing:
    pass

def ended():
    with lock:
        seen.append(os.getpid())

def circle():
    thing = Thing()
    thing.itself = thing
    weakref.finalize(thing, ended).atexit = False

kept = [Thing()]
weakref.finalize(kept[0], ended).atexit = False
background.after_fork(kept.clear)  # something of ours lets go of it in the child
os.register_at_fork(before=gc.collect, after_in_child=gc.collect, after_in_parent=gc.collect)
signal.alarm(20)
for _ in range(20):
    circle()
    gc.set_threshold(1)
    child = os.fork()
    gc.set_threshold(700)
    if not child:
        with lock:
            pass
        assert gc.isenabled()
        os._exit(0 if os.getpid() in seen else 3)
    assert os.waitpid(child, 0)[1] == 0
assert gc.isenabled()
print("all")
"""


def test_a_fork_while_things_die():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.returncode) == ("all\n", 0), done.stderr
