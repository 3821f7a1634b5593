"""`scripts/house.py` counts right, and each rule about the structure catches what breaks it."""

import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

PROJECT = Path(__file__).resolve().parent.parent.parent
if str(PROJECT) not in sys.path:
    sys.path.insert(0, str(PROJECT))

from scripts import house  # noqa: E402
from scripts.structure import rules  # noqa: E402
from scripts.structure.graph import circles, floors, shortest_circle  # noqa: E402
from scripts.structure.tree import find_package, read_tree  # noqa: E402

NAME = "semantic_llm_cache"


@pytest.fixture
def build(tmp_path):
    """Write a package and read it: a dict from file to source, each folder with an `__init__` of its own."""

    def write(files):
        folder = tmp_path / "src" / NAME
        for file, source in {"__init__.py": "", **files}.items():
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(source))
        for path in list(folder.rglob("*.py")):
            init = path.parent / "__init__.py"
            init.touch()
        return read_tree(folder)

    return write


def found(rule, tree):
    return [f"{fault.where}: {fault.what}" for fault in rules.RULES[rule](tree)]


# ---------------------------------------------------------------------- graphs


def test_a_circle_is_one_floor():
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set(), "e": set()}
    assert circles(graph) == [["b", "c"]]
    assert floors(graph) == 3
    assert shortest_circle(graph, ["b", "c"]) == ["b", "c"]


def test_the_way_around_follows_the_arrows():
    graph = {"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": {"a"}}
    assert shortest_circle(graph, ["a", "b", "c", "d"]) == ["a", "b", "c", "d"]


def test_no_graph_has_no_floor():
    assert floors({}) == 0


# ---------------------------------------------------------------------- each rule


def test_rooms_are_in_a_circle(build):
    tree = build({"a.py": f"from {NAME}.b import y", "b.py": f"\ndef f():\n    from {NAME} import a\n"})
    assert found("circles", tree) == [
        "a.py:1: circle of rooms: a -> b at a.py:1; b -> a at b.py:3",
        "a.py:1: circle of modules: a -> b at a.py:1; b -> a at b.py:3",
    ]


def test_a_circle_of_types_counts_within_a_room_too(build):
    tree = build(
        {
            "a/x.py": "from .y import Y",
            "a/y.py": """
                from typing import TYPE_CHECKING

                if TYPE_CHECKING:
                    from semantic_llm_cache.a.x import X
            """,
        }
    )
    assert found("circles", tree) == ["a/x.py:1: circle of modules: a.x -> a.y at a/x.py:1; a.y -> a.x at a/y.py:5"]
    assert circles(rules.module_graph(tree, types=False)) == []


def test_rooms_are_in_a_circle_where_no_modules_are(build):
    tree = build({"a/x.py": f"import {NAME}.b.x", "b/x.py": "", "b/y.py": "from ..a import y", "a/y.py": ""})
    assert found("circles", tree) == ["a/x.py:1: circle of rooms: a -> b at a/x.py:1; b -> a at b/y.py:1"]


@pytest.mark.parametrize(
    "source",
    [
        f"from {NAME}.engine.engine import Engine",
        f"from {NAME} import engine",
        f"import {NAME}.engine.engine",
        "from ..engine import engine",
        f"def f():\n    from {NAME}.engine import x",
        f"import typing\nif typing.TYPE_CHECKING:\n    from {NAME}.engine import x",
        f"class A:\n    from {NAME}.engine import x",
        f"try:\n    from {NAME}.engine import x\nexcept ImportError:\n    pass",
    ],
)
def test_an_import_goes_upwards(build, source):
    tree = build({"storage/contract.py": source, "engine/engine.py": ""})
    [fault] = found("imports against the layers", tree)
    assert fault.startswith("storage/contract.py:")
    assert fault.endswith(" upwards")


def test_the_root_is_above_what_it_exports(build):
    tree = build({"__init__.py": f"from {NAME}.engine import x", "engine/x.py": f"from {NAME} import __version__"})
    assert found("imports against the layers", tree) == ["engine/x.py:1: engine.x imports __init__.__version__ upwards"]


def test_rooms_of_one_line_do_not_import_each_other(build):
    tree = build({"doors/cache.py": f"from {NAME}.wire import cache", "wire/cache.py": ""})
    assert found("imports against the layers", tree) == ["doors/cache.py:1: doors.cache imports wire.cache sideways"]


def test_a_lazy_name_may_come_from_above(build):
    source = f"def __getattr__(name):\n    from {NAME}.engine import engine\n    return engine\n"
    assert found("imports against the layers", build({"storage/__init__.py": source, "engine/engine.py": ""})) == []


def test_a_method_named_getattr_is_no_lazy_name(build):
    source = f"class A:\n    def __getattr__(self, name):\n        from {NAME}.engine import engine\n"
    assert found("imports against the layers", build({"storage/__init__.py": source, "engine/engine.py": ""}))


def test_each_room_has_a_layer(build):
    tree = build({"engine/x.py": "", "attic/x.py": "", "shed.py": ""})
    assert found("rooms without a layer", tree) == [
        "attic/__init__.py:1: attic has no line in the table of layers",
        "shed.py:1: shed has no line in the table of layers",
    ]


def test_no_room_has_two_layers():
    names = [name for line in rules.LAYERS for name in line]
    assert len(names) == len(set(names))


def test_runtime_imports_only_exceptions_and_redaction(build):
    source = f"from {NAME}.exceptions import E\nfrom {NAME}.redaction import r\nfrom {NAME}.utils import z"
    tree = build({"runtime/x.py": source, "redaction.py": "", "exceptions.py": "", "utils.py": ""})
    assert found("imports of runtime", tree) == ["runtime/x.py:3: runtime.x imports utils.z"]


@pytest.mark.parametrize("source", [f"from {NAME}.engine.engine import Engine", f"from {NAME}.engine import Engine"])
def test_parts_never_import_the_engine(build, source):
    tree = build({"engine/__init__.py": "from .engine import Engine", "engine/engine.py": "", "engine/lead.py": source})
    [fault] = found("imports of the engine by its parts", tree)
    assert fault.startswith("engine/lead.py:1: engine.lead imports engine.")


BACKENDS = {
    "backends/__init__.py": """
        from typing import TYPE_CHECKING

        from semantic_llm_cache.backends.memory import MemoryBackend

        if TYPE_CHECKING:
            from semantic_llm_cache.backends.redis import RedisBackend

        def __getattr__(name): ...
    """,
    "backends/memory.py": "",
    "backends/_sqlite_rows.py": "",
    "backends/redis/backend.py": "",
    "backends/eviction.py": "",
}


@pytest.mark.parametrize(
    "source",
    [
        f"from {NAME}.backends.redis import RedisBackend",
        f"from {NAME}.backends.redis import backend",
        f"from {NAME}.backends import RedisBackend",
        f"from {NAME}.backends import MemoryBackend",
        f"from {NAME}.backends import memory",
        f"import {NAME}.backends._sqlite_rows",
        f"def f():\n    from {NAME}.backends.memory import MemoryBackend",
    ],
)
def test_nothing_above_backends_imports_a_concrete_one(build, source):
    [fault] = found("concrete backends imported from above", build({**BACKENDS, "engine/x.py": source}))
    assert fault.startswith("engine/x.py:")


def test_the_cli_and_lazy_names_import_concrete_backends(build):
    lazy = f"def __getattr__(name):\n    from {NAME}.backends.redis import RedisBackend\n"
    tree = build(
        {
            **BACKENDS,
            "__init__.py": lazy,
            "cli/x.py": f"from {NAME}.backends.memory import MemoryBackend",
            "engine/x.py": f"from {NAME}.backends import eviction",
            "backends/eviction.py": f"from {NAME}.backends import memory",
        }
    )
    assert found("concrete backends imported from above", tree) == []


@pytest.mark.parametrize(
    "source",
    [
        f"from {NAME}.calls.lookup import _last",
        f"from {NAME}.calls import lookup\nlookup._last",
        f"from {NAME}.calls import lookup as lookups\nlookups._last = 1",
        f"import {NAME}.calls.lookup\n{NAME}.calls.lookup._last",
        f"import {NAME}.calls.lookup as l\nl._last.x()",
        f"from {NAME} import calls\ndef f():\n    return calls.lookup._last",
        f"from {NAME}.calls import _hidden",
        f"from {NAME}.calls._hidden import x",
    ],
)
def test_private_names_stay_in_their_package(build, source):
    tree = build({"calls/lookup.py": "", "calls/_hidden.py": "", "engine/x.py": source})
    [fault] = found("private names across packages", tree)
    assert fault.startswith("engine/x.py:")


def test_modules_at_the_root_keep_private_names_from_each_other(build):
    tree = build({"utils.py": "", "stats.py": f"from {NAME} import utils\nutils._x"})
    assert found("private names across packages", tree) == ["stats.py:2: stats uses utils._x"]


@pytest.mark.parametrize(
    "source",
    [
        "from . import lookup\nlookup._last",
        "from .lookup import _last",
        "from . import _hidden",
        "from . import lookup\nlookup.__doc__\nlookup.last",
        "from . import lookup\nlookup.last._x",
        f"from {NAME}.engine import x\ndef f(x):\n    x._y",
        f"from {NAME}.engine import x\ndef f():\n    x = 1\n    x._y",
        "import other\nother._x",
        "from other import _x",
    ],
)
def test_private_names_that_may_be_used(build, source):
    tree = build({"calls/lookup.py": "", "calls/_hidden.py": "", "engine/x.py": "", "calls/x.py": source})
    assert found("private names across packages", tree) == []


def test_the_version_is_private_to_the_whole_package(build):
    tree = build({"_version.py": "", "cli/x.py": f"from {NAME}._version import __version__"})
    assert found("private names across packages", tree) == []


def test_there_are_too_many_modules_at_the_root(build):
    files = {f"m{number}.py": "" for number in range(10)}
    assert found("modules at the root", build({**files, "engine/x.py": "", "engine/y.py": ""})) == []
    [fault] = found("modules at the root", build({**files, "m10.py": ""}))
    assert fault.startswith("__init__.py:1: 12 modules at the root: __init__, m0, ")


def test_a_function_has_too_many_parameters(build):
    source = """
        from typing import overload
        class A:
            def f(self, a, b, /, c, d, *args, e, f=1, **kwargs): ...
            async def g(self, a, b, c, d, e, f, g): ...
            @classmethod
            def h(cls, a, b, c, d, e, f): ...
            @overload
            def i(self, a, b, c, d, e, f, g, h): ...
        def j(a):
            def k(a, b, c, d, e, f, g): ...
    """
    tree = build({"engine/x.py": source})
    assert found("parameters", tree) == [
        "engine/x.py:5: A.g has 7 parameters",
        "engine/x.py:11: j.k has 7 parameters",
    ]


def test_a_function_is_too_long(build):
    body = "    x = 1\n" * 79
    source = f'def short():\n    """Two\n\n    lines."""\n{body}def long():\n{body}    x = 2\n'
    assert found("lines", build({"engine/x.py": source})) == ["engine/x.py:84: long has 81 lines"]


@pytest.mark.parametrize("rule", ["parameters", "lines"])
def test_public_signatures_are_free(build, rule):
    many = ", ".join("abcdefgh")
    source = f"class Engine:\n    def __init__(self, {many}):\n" + "        x = 1\n" * 90
    assert found(rule, build({"engine/engine.py": source})) == []
    assert len(found(rule, build({"engine/other.py": source.replace("Engine", "Other")}))) == 1


def test_a_fault_says_where_what_and_which_rule():
    fault = rules.Fault("a.py:1", "a imports b upwards", "a room imports only rooms of lower lines of LAYERS")
    assert str(fault) == "a.py:1: a imports b upwards (a room imports only rooms of lower lines of LAYERS)"


# ---------------------------------------------------------------------- the script


SMALL = {
    "config.py": "x = 1\n" * 501,
    "stats.py": f"from {NAME}.engine.call import Call",
    "engine/call.py": f"from {NAME} import config\n\ndef f(a, b):\n    return a\n",
    "engine/search.py": "from .call import Call\nif TYPE_CHECKING:\n    from semantic_llm_cache.stats import x\n",
}


def test_the_figures_of_a_small_package(build):
    figures = house.figures(build(SMALL))
    assert figures["rooms"] == 4
    assert figures["root_modules"] == ["__init__", "config", "stats"]
    assert figures["root_packages"] == ["engine"]
    assert figures["at_run_time"]["rooms"] == {"count": 4, "arrows": 2, "floors": 3, "circles": []}
    assert figures["at_run_time"]["modules"] == {"count": 6, "arrows": 3, "floors": 3, "circles": []}
    assert figures["with_types"]["rooms"]["circles"] == [["engine", "stats"]]
    assert figures["with_types"]["modules"] == {"count": 6, "arrows": 4, "floors": 4, "circles": []}
    assert [fault.partition(" (")[0] for fault in figures["against_layers"]] == [
        "engine/search.py:3: engine.search imports stats.x upwards"
    ]
    assert figures["longest_functions"] == [{"lines": 2, "function": "f", "where": "engine/call.py:3"}]
    assert figures["most_parameters"] == [{"parameters": 2, "function": "f", "where": "engine/call.py:3"}]
    assert figures["long_files"] == {"config.py": 501}


def test_the_last_three_lines_sum_up(build):
    lines = house.report(house.figures(build(SMALL))).splitlines()
    assert lines[-4] == ""
    assert [line.partition(":")[0] for line in lines[-3:]] == ["rooms", "imports", "code"]


def test_the_script_takes_another_tree(build):
    tree = build(SMALL)
    for folder in (tree.folder, tree.folder.parent, tree.folder.parent.parent):
        done = run("--json", str(folder))
        assert json.loads(done.stdout) == house.figures(tree)


def test_the_script_prints_this_project():
    done = run()
    assert "\nrooms: " in done.stdout
    assert done.stdout.count("\n") > 20


def test_the_script_says_that_there_is_no_package(tmp_path):
    done = run(str(tmp_path), status=2)
    assert f"{tmp_path} holds no package" in done.stderr
    with pytest.raises(FileNotFoundError):
        find_package(tmp_path)


def run(*arguments, status=0):
    command = [sys.executable, str(PROJECT / "scripts" / "house.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd="/")
    assert done.returncode == status, done.stderr
    return done
