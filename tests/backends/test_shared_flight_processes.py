"""Single flight across real processes: eight of them, one killed, one frozen."""

import contextlib

import postgres_servers
import pytest
import redis_servers
from lease_processes import askers, calls_in, wait_until

LEASE = 1.0


@pytest.fixture(scope="module", params=["redis", "postgres", "sqlite"])
def eight(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("askers")
    if request.param == "redis":
        make = f"RedisBackend({redis_servers.server_url('vectorset')!r}, prefix={redis_servers.own_prefix()!r})"
    elif request.param == "postgres":
        url = postgres_servers.server_url()
        make = f"PostgresBackend({url!r}, schema={postgres_servers.own_schema(url)!r}, pool_max=2)"
    else:
        make = f"SQLiteBackend({str(folder / 'cache.db')!r})"
    with askers(8, make, folder, lease=LEASE, seconds=0.5) as found:
        yield found


def alive(processes):
    return [process for process in processes if process.process.poll() is None]


def leader_of(processes, log, prompt):
    wait_until(lambda: calls_in(log, prompt), what="nobody calls")
    return next(process for process in processes if process.pid == calls_in(log, prompt)[0])


def test_fifty_misses_in_each_of_eight_make_one_call(eight):
    processes, log = eight
    for process in processes:
        process.ask("one", 50)
    answers = [process.answers() for process in processes]
    assert len(calls_in(log, "one")) == 1
    assert answers == [[f"one by {calls_in(log, 'one')[0]}"]] * 8


def test_a_failure_is_not_shared_and_the_next_one_calls(eight):
    processes, log = eight
    for process in processes:
        process.ask("fails", 5)
    assert [process.answers() for process in processes] == [["ValueError"]] * 8
    assert sorted(calls_in(log, "fails")) == sorted(process.pid for process in processes)  # once in each


def test_a_leader_frozen_past_its_lease_cannot_overwrite_the_newer_answer(eight):
    processes, log = eight
    for process in processes:
        process.ask("frozen")
    late = leader_of(processes, log, "frozen")
    late.freeze()
    others = [process for process in processes if process is not late]
    answers = [process.answers() for process in others]
    first, second = calls_in(log, "frozen")
    assert first == late.pid != second
    assert answers == [[f"frozen by {second}"]] * 7
    late.thaw()
    assert late.answers() == [f"frozen by {first}"]  # its own caller gets what was called for
    for process in processes:
        process.ask("frozen")
    assert [process.answers() for process in processes] == [[f"frozen by {second}"]] * 8
    assert len(calls_in(log, "frozen")) == 2


def test_a_killed_leader_is_followed_by_another(eight):
    processes, log = eight
    for process in processes:
        process.ask("killed", 10)
    dead = leader_of(processes, log, "killed")
    dead.process.kill()
    dead.process.wait()
    answers = [process.answers() for process in alive(processes)]
    first, second = calls_in(log, "killed")
    assert first == dead.pid
    assert answers == [[f"killed by {second}"]] * 7


def test_plain_functions_on_an_own_event_loop_each(tmp_path):
    url = redis_servers.server_url("plain")
    make = f"RedisBackend({url!r}, prefix={redis_servers.own_prefix()!r})"
    with contextlib.ExitStack() as stack:
        processes, log = stack.enter_context(askers(3, make, tmp_path, kind="plain"))
        for process in processes:
            process.ask("plain", 5)
        answers = [process.answers() for process in processes]
        assert len(calls_in(log, "plain")) == 1
        assert answers == [[f"plain by {calls_in(log, 'plain')[0]}"]] * 3


def test_the_same_text_is_never_counted_as_a_near_hit(tmp_path):
    make = f"SQLiteBackend({str(tmp_path / 'cache.db')!r})"
    with askers(2, make, tmp_path, lease=LEASE, seconds=0.0, kind="outcomes") as (processes, log):
        for process, when in zip(processes, ("now", "later"), strict=True):
            process.ask(f"{when} one", 20)  # the second embeds the text while the first stores its answer
        outcomes = [process.answers() for process in processes]
        assert len(calls_in(log, "one")) == 1
    assert outcomes[0] == ["coalesced", "miss"]
    assert outcomes[1] in (["exact"], ["coalesced"], ["coalesced", "exact"])
