"""One SQLite file under processes that share it, fork, end without a word, and are killed."""

import asyncio
import sqlite3
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from semantic_llm_cache.backends import SQLiteBackend
from semantic_llm_cache.config import CacheEntry


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "cache.db")


def check_file(path):
    """The file is whole, and every entry in it has its vector. Returns the keys."""
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    rows = connection.execute("SELECT key, length(vector) FROM entries").fetchall()
    counted = connection.execute("SELECT value FROM meta WHERE name = 'entries'").fetchone()
    connection.close()
    assert counted == (len(rows),)
    assert {length for _, length in rows} <= {16}
    return {key for key, _ in rows}


KILLED = """
import asyncio, os, random, signal, sys, time
from semantic_llm_cache.backends import SQLiteBackend
from semantic_llm_cache.config import CacheEntry

async def write(path, run, pipe):
    backend = SQLiteBackend(path)

    async def store(n):
        vector = [1.0, n, run, 1.0]
        await backend.set(f"{run}-{n}", CacheEntry(f"prompt {n}", "x" * (n % 3000), vector, scope=str(run)))
        os.write(pipe, f"{run}-{n}\\n".encode())

    for start in range(0, 10_000, 50):
        await asyncio.gather(*[store(n) for n in range(start, start + 50)])

random.seed(int(sys.argv[2]))
for run in range(20):
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        asyncio.run(write(sys.argv[1], run, theirs))
        os._exit(3)  # done before it was killed: the test would show nothing
    os.close(theirs)
    acknowledged = os.read(ours, 65536)
    time.sleep(random.uniform(0.0, 0.08))
    os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    while chunk := os.read(ours, 65536):
        acknowledged += chunk
    os.close(ours)
    sys.stdout.write(acknowledged.decode())
    sys.stdout.flush()
    if run % 5 == 4:  # and now and then somebody looks at the file in between
        import sqlite3
        connection = sqlite3.connect(sys.argv[1])
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()
"""


def test_killed_while_writing_twenty_times(path, run_script):
    """What was acknowledged is there after SIGKILL, by key and by meaning."""
    acknowledged = run_script(KILLED, path, "1").split()
    assert len({line.split("-")[0] for line in acknowledged}) == 20
    assert len(acknowledged) < 20 * 10_000
    missing = set(acknowledged) - check_file(path)
    assert missing == set()

    async def by_meaning():
        async with SQLiteBackend(path) as backend:
            for key in acknowledged[:: max(1, len(acknowledged) // 200)]:
                run, n = map(int, key.split("-"))
                near = await backend.find_similar([1.0, n, run, 1.0], 0.999999, scope=str(run))
                assert near is not None
                assert np.allclose(near[1].embedding, (await backend.get(key)).embedding, atol=1e-3)

    asyncio.run(by_meaning())


def test_an_end_without_close_loses_nothing(path, run_script):
    """Status 0 at once, though threads hold the file; writes that nobody awaited are finished first."""
    script = """
        import asyncio, sys
        from semantic_llm_cache.backends import SQLiteBackend
        from semantic_llm_cache.config import CacheEntry

        backend = SQLiteBackend(sys.argv[1])

        def entry(n):
            return CacheEntry("p", [n, "x" * 5000], [1.0, n, 0.0, 0.0])

        async def main():
            for n in range(10):
                await backend.set(f"awaited{n}", entry(n))
            assert await backend.find_similar([1.0, 0.0, 0.0, 0.0], 0.9) is not None
            tasks = [asyncio.ensure_future(backend.set(f"left{n}", entry(n))) for n in range(3000)]
            await asyncio.sleep(0)

        asyncio.run(main())
        if len(sys.argv) > 2:
            sys.exit(int(sys.argv[2]))
    """
    run_script(script, path, timeout=20)
    expected = {f"awaited{n}" for n in range(10)} | {f"left{n}" for n in range(3000)}
    assert check_file(path) == expected
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), path, "7"], timeout=20, check=False, capture_output=True
    )
    assert (done.returncode, done.stderr) == (7, b"")


def test_an_end_in_mid_flight(path, run_script):
    """The interpreter goes down while a thread is in the midst of a search."""
    run_script(
        """
        import asyncio, sys
        import numpy as np
        from semantic_llm_cache.backends import SQLiteBackend
        from semantic_llm_cache.config import CacheEntry

        async def main():
            backend = SQLiteBackend(sys.argv[1])
            rows = np.random.default_rng(0).normal(size=(5000, 4))
            await backend.set_many((f"k{n}", CacheEntry("p", n, row)) for n, row in enumerate(rows))
            tasks = [asyncio.ensure_future(backend.find_candidates(rows[n], 0.1, k=500)) for n in range(100)]
            await asyncio.sleep(0.02)

        asyncio.run(main())
        """,
        path,
        timeout=20,
    )
    assert len(check_file(path)) == 5000


def test_two_processes_see_each_others_entries(path):
    """By key and by meaning, at once: set, replaced and deleted."""
    other = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(OTHER), path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def ask(line):
        other.stdin.write(line + "\n")
        other.stdin.flush()
        return other.stdout.readline().strip()

    async def main():
        async with SQLiteBackend(path) as backend:
            x, y = [1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]
            await backend.set("k", CacheEntry("p", "mine", x))
            assert ask("get k") == "mine"
            assert ask("find 1 0 0 0") == "mine"
            assert ask("set k theirs 0 1 0 0") == "ok"
            assert (await backend.get("k")).response == "theirs"
            assert await backend.find_similar(x, 0.9) is None
            assert (await backend.find_similar(y, 0.9))[1].response == "theirs"
            await backend.set("k", CacheEntry("p", "mine again", x))
            assert ask("find 0 1 0 0") == "none"
            assert ask("find 1 0 0 0") == "mine again"
            assert ask("delete k") == "ok"
            assert await backend.get("k") is None
            assert await backend.find_similar(x, 0.1) is None
            # Both write at the same time.
            other.stdin.write("many theirs 300\n")
            other.stdin.flush()
            await asyncio.gather(*[backend.set(f"mine{n}", CacheEntry("p", n, x)) for n in range(300)])
            assert other.stdout.readline().strip() == "ok"
            assert len(await backend.find_candidates(x, 0.9, k=1000)) == 600
            assert (await backend.get_stats())["size"] == 600

    try:
        asyncio.run(main())
        assert ask("end") == ""
        assert other.wait(20) == 0
    finally:
        other.kill()
        other.wait()
        other.stdin.close()
        other.stdout.close()
    assert len(check_file(path)) == 600


OTHER = """
import asyncio, sys
from semantic_llm_cache.backends import SQLiteBackend
from semantic_llm_cache.config import CacheEntry

async def main():
    backend = SQLiteBackend(sys.argv[1])
    for line in sys.stdin:
        word, *rest = line.split()
        if word == "get":
            found = await backend.get(rest[0])
            print(found.response if found else "none", flush=True)
        elif word == "find":
            found = await backend.find_similar([float(x) for x in rest], 0.9)
            print(found[1].response if found else "none", flush=True)
        elif word == "set":
            await backend.set(rest[0], CacheEntry("p", rest[1], [float(x) for x in rest[2:]]))
            print("ok", flush=True)
        elif word == "delete":
            await backend.delete(rest[0])
            print("ok", flush=True)
        elif word == "many":
            for n in range(int(rest[1])):
                await backend.set(f"{rest[0]}{n}", CacheEntry("p", n, [1.0, 0.0, 0.0, 0.0]))
            print("ok", flush=True)
        else:
            break  # without closing

asyncio.run(main())
"""


def test_two_processes_make_the_same_new_file(path):
    script = textwrap.dedent(
        """
        import asyncio, sys
        from semantic_llm_cache.backends import SQLiteBackend
        from semantic_llm_cache.config import CacheEntry

        async def main():
            sys.stdin.readline()  # all start at once
            backend = SQLiteBackend(sys.argv[1])
            for n in range(20):
                await backend.set(f"{sys.argv[2]}{n}", CacheEntry("p", n, [1.0, n, 0.0, 0.0]))

        asyncio.run(main())
        """
    )
    processes = [subprocess.Popen([sys.executable, "-c", script, path, name], stdin=subprocess.PIPE) for name in "abcd"]
    for process in processes:
        process.stdin.write(b"\n")
        process.stdin.close()
    assert [process.wait(30) for process in processes] == [0] * 4
    assert len(check_file(path)) == 80


def test_parent_and_forked_child(path, run_script):
    """The child works with threads and connections of its own; neither harms the other."""
    run_script(
        """
        import asyncio, os, sys
        from semantic_llm_cache.backends import SQLiteBackend
        from semantic_llm_cache.config import CacheEntry

        path = sys.argv[1]
        backend = SQLiteBackend(path)
        x, y = [1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]

        async def work(mine, vector, others):
            for key, near in others:
                assert (await backend.get(key)).response == key
                assert (await backend.find_similar(near, 0.9))[0] == key
            await backend.set(mine, CacheEntry("p", mine, vector))
            assert (await backend.find_similar(vector, 0.9))[0] == mine

        asyncio.run(work("parent", x, []))
        child = os.fork()
        if child == 0:
            asyncio.run(work("child", y, [("parent", x)]))
            sys.exit(0)  # the ordinary way: at-exit functions run, inherited objects are taken down
        assert os.waitpid(child, 0)[1] == 0
        asyncio.run(work("parent again", [0.0, 0.0, 1.0, 0.0], [("parent", x), ("child", y)]))
        """,
        path,
    )
    assert check_file(path) == {"parent", "child", "parent again"}


def test_a_child_that_outlives_its_parent_keeps_its_entries(path, run_script):
    """The parent's end must not take the log away under the child: locks are not carried over a fork."""
    run_script(
        """
        import asyncio, os, sys
        from semantic_llm_cache.backends import SQLiteBackend
        from semantic_llm_cache.config import CacheEntry

        backend = SQLiteBackend(sys.argv[1])

        async def store(key):
            await backend.set(key, CacheEntry("p", key, [1.0, 0.0, 0.0, 0.0]))

        asyncio.run(store("parent"))
        ours, theirs = os.pipe()
        done, tell = os.pipe()
        child = os.fork()
        if child == 0:
            asyncio.run(store("child before"))
            os.write(theirs, b"1")
            os.close(tell)
            os.read(done, 1)  # until the parent has closed the file
            for n in range(100):
                asyncio.run(store(f"child {n}"))
            os._exit(0)
        os.read(ours, 1)
        asyncio.run(backend.close())  # not the last user of the file
        os.close(tell)
        assert os.waitpid(child, 0)[1] == 0
        """,
        path,
    )
    assert len(check_file(path)) == 102


def test_forks_while_threads_are_busy(path, run_script):
    """Forks in the midst of writes and searches: children neither hang nor lose anything."""
    run_script(
        """
        import asyncio, os, sys, threading
        from semantic_llm_cache.backends import SQLiteBackend
        from semantic_llm_cache.config import CacheEntry

        backend = SQLiteBackend(sys.argv[1])
        stop, written = [], []

        async def busy():
            n = 0
            while not stop:
                keys = [f"parent{n + i}" for i in range(10)]
                await asyncio.gather(*[backend.set(k, CacheEntry("p", k, [1.0, n, 0.0, 0.0])) for k in keys])
                assert len(await backend.find_candidates([1.0, n, 0.0, 0.0], 0.9)) >= 1
                written.extend(keys)
                n += 10

        async def child(run):
            for n in range(10):
                key = f"child{run}-{n}"
                await backend.set(key, CacheEntry("p", key, [1.0, 0.0, 1.0 + n, 0.0]))
                assert (await backend.get(key)).response == key
                assert await backend.find_similar([1.0, 0.0, 1.0 + n, 0.0], 0.9) is not None

        thread = threading.Thread(target=lambda: asyncio.run(busy()))
        thread.start()
        children = []
        for run in range(8):
            pid = os.fork()
            if pid == 0:
                status = 1
                try:
                    asyncio.run(asyncio.wait_for(child(run), 20))
                    status = 0
                finally:
                    os._exit(status)
            children.append(pid)
        statuses = [os.waitpid(pid, 0)[1] for pid in children]
        stop.append(1)
        thread.join()
        assert statuses == [0] * 8, statuses

        async def check():
            keys = written + [f"child{run}-{n}" for run in range(8) for n in range(10)]
            assert None not in await backend.get_many(keys)

        asyncio.run(check())
        """,
        path,
    )
    check_file(path)


def test_multiprocessing_by_fork(path, run_script):
    run_script(
        """
        import asyncio, multiprocessing, sys
        from semantic_llm_cache.backends import SQLiteBackend
        from semantic_llm_cache.config import CacheEntry

        backend = SQLiteBackend(sys.argv[1])

        def store(n):
            asyncio.run(backend.set(f"k{n}", CacheEntry("p", n, [1.0, n, 0.0, 0.0])))
            return asyncio.run(backend.get("first")).response

        asyncio.run(backend.set("first", CacheEntry("p", "seen", [1.0, 0.0, 0.0, 0.0])))
        with multiprocessing.get_context("fork").Pool(3) as pool:
            assert pool.map(store, range(30)) == ["seen"] * 30
        """,
        path,
    )
    assert len(check_file(path)) == 31
