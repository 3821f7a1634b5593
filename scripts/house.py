"""The figures of the structure: `python scripts/house.py [FOLDER] [--json]`.

FOLDER is a package's folder or a checkout of the project; default: this one. Nothing is imported from it. The last
three lines sum up the rest. What the rules are is in `scripts/structure/rules.py`; the tests hold them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
if str(PROJECT) not in sys.path:
    sys.path.insert(0, str(PROJECT))

from scripts.structure import rules  # noqa: E402
from scripts.structure.graph import Graph, circles, floors  # noqa: E402
from scripts.structure.tree import Function, Tree, find_package, read_tree  # noqa: E402

SHOWN = 10
"""How many functions are listed."""
LONG_FILE = 500
"""Files of more lines are listed."""


def figures(tree: Tree) -> dict[str, Any]:
    """Return all figures as plain data."""
    written = [function for function in tree.functions if not function.overload]
    return {
        "rooms": len(tree.rooms()),
        "root_modules": rules.root_modules(tree),
        "root_packages": sorted(name for name in tree.packages if "." not in name),
        "at_run_time": _depths(tree, types=False),
        "with_types": _depths(tree, types=True),
        "against_layers": [str(fault) for fault in rules.layer_faults(tree)],
        "rooms_without_layer": [fault.what.partition(" ")[0] for fault in rules.unplaced_rooms(tree)],
        "private_across_packages": [str(fault) for fault in rules.private_faults(tree)],
        "longest_functions": _most(tree, written, "lines"),
        "most_parameters": _most(tree, written, "parameters"),
        "long_files": {
            tree.files[module]: lines
            for module, lines in sorted(tree.lines.items(), key=lambda item: -item[1])
            if lines > LONG_FILE
        },
    }


def _depths(tree: Tree, *, types: bool) -> dict[str, Any]:
    rooms, modules = rules.room_graph(tree, types=types), rules.module_graph(tree, types=types)
    return {"rooms": _depth(rooms), "modules": _depth(modules)}


def _depth(graph: Graph) -> dict[str, Any]:
    arrows = sum(len(targets) for targets in graph.values())
    return {"count": len(graph), "arrows": arrows, "floors": floors(graph), "circles": circles(graph)}


def _most(tree: Tree, functions: Sequence[Function], what: str) -> list[dict[str, Any]]:
    first = sorted(functions, key=lambda f: (-getattr(f, what), f.module, f.line))[:SHOWN]
    return [{what: getattr(f, what), "function": f.name, "where": tree.where(f.module, f.line)} for f in first]


# ---------------------------------------------------------------------- printing


def report(found: dict[str, Any]) -> str:
    """Return the figures as text; its last three lines sum them up."""
    lines = [
        f"at the root: {len(found['root_modules'])} modules: {', '.join(found['root_modules'])}",
        f"             {len(found['root_packages'])} packages: {', '.join(found['root_packages'])}",
    ]
    for title, when in (("at run time", "at_run_time"), ("with imports for types", "with_types")):
        for level in ("rooms", "modules"):
            depth = found[when][level]
            lines.append(
                f"{level} {title}: {depth['count']}, {depth['arrows']} arrows, {depth['floors']} floors, "
                f"circles: {len(depth['circles'])}"
            )
            lines += [f"    {', '.join(circle)}" for circle in depth["circles"]]
    lines += _listed("imports against the layers", found["against_layers"])
    if found["rooms_without_layer"]:
        lines.append(f"    not judged, since LAYERS does not name them: {', '.join(found['rooms_without_layer'])}")
    lines += _listed("private names across packages", found["private_across_packages"])
    for title, key, what in (
        ("longest functions (lines without the docstring)", "longest_functions", "lines"),
        ("most parameters (without self, cls, *args and **kwargs)", "most_parameters", "parameters"),
    ):
        lines.append(f"{title}:")
        lines += [f"    {one[what]:4} {one['function']}  {one['where']}" for one in found[key]]
    lines += _listed(
        f"files over {LONG_FILE} lines", [f"{lines:4} {file}" for file, lines in found["long_files"].items()]
    )
    return "\n".join([*lines, "", *summary(found)])


def _listed(title: str, items: Sequence[str]) -> list[str]:
    return [f"{title}: {len(items)}", *[f"    {item}" for item in items]]


def summary(found: dict[str, Any]) -> list[str]:
    """Return three lines: the rooms, the imports, the code."""
    rooms, modules = (found["with_types"][level] for level in ("rooms", "modules"))
    longest, widest = found["longest_functions"][:1], found["most_parameters"][:1]
    unplaced = len(found["rooms_without_layer"])
    return [
        f"rooms: {found['rooms']} at the root ({len(found['root_modules'])} modules, {len(found['root_packages'])} "
        f"packages), {rooms['floors']} floors, {rooms['arrows']} arrows; modules: {modules['count']}, "
        f"{modules['floors']} floors",
        f"imports: circles of rooms {len(rooms['circles'])}, of modules {len(modules['circles'])}; against the layers "
        f"{len(found['against_layers'])} (rooms without a layer {unplaced}); private across packages "
        f"{len(found['private_across_packages'])}",
        f"code: {_top(longest, 'lines')}; {_top(widest, 'parameters')}; "
        f"files over {LONG_FILE} lines {len(found['long_files'])}",
    ]


def _top(first: Sequence[dict[str, Any]], what: str) -> str:
    return "".join(f"at most {one[what]} {what} ({one['function']}, {one['where']})" for one in first) or "no functions"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures; return 2 when there is no package."""
    parser = argparse.ArgumentParser(prog="python scripts/house.py", description=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument("folder", nargs="?", type=Path, default=PROJECT, help="a package's folder or a checkout")
    parser.add_argument("--json", action="store_true", help="all figures as one JSON document")
    options = parser.parse_args(arguments)
    try:
        found = figures(read_tree(find_package(options.folder)))
    except (FileNotFoundError, SyntaxError) as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(found, indent=1) if options.json else report(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
