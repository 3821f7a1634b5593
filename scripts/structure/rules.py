"""The rules of the structure, as data, and the checks for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from scripts.structure.graph import Graph, circles, graph_of, shortest_circle
from scripts.structure.tree import FOR_TYPES, LAZY_NAME, ROOT, Function, Import, Tree, room

LAYERS: tuple[tuple[str, ...], ...] = (
    ("__main__",),
    ("cli",),
    ("server",),
    (ROOT,),
    ("stats", "sync"),
    ("management", "integrations", "telemetry"),
    ("doors", "wire"),
    ("streams",),
    ("engine",),
    ("matching",),
    ("backends", "testing", "metrics"),
    ("storage", "index", "keys"),
    ("runtime", "similarity", "values", "calls"),
    ("config", "redaction", "utils"),
    ("arguments", "exceptions"),
    ("_installation", "_version"),
)
"""Who may import whom: a room imports only rooms of lower lines. Lazy imports and imports for types count."""

ONLY: dict[str, frozenset[str]] = {"runtime": frozenset({"exceptions", "redaction"})}
"""Rooms that may import only these."""

ENGINE = ("engine", "engine.engine")
"""A package and the module that its other modules never import."""

BACKENDS = "backends"
CONCRETE = frozenset({"memory", "sqlite", "postgres", "redis"})
"""The concrete backends: modules of `BACKENDS`, or families of modules such as ``_redis_url``."""
BACKEND_USERS = frozenset({"cli"})
"""The rooms above `BACKENDS` that may import a concrete backend."""

MOST_ROOT_MODULES = 11
MOST_PARAMETERS = 6
MOST_LINES = 80

PUBLIC_SIGNATURES: frozenset[tuple[str, str]] = frozenset(
    {
        ("doors", "cache"),
        ("doors", "SemanticCache.__init__"),
        ("engine", "Engine.__init__"),
        ("backends", "MemoryBackend.__init__"),
        ("backends", "SQLiteBackend.__init__"),
        ("backends", "RedisBackend.__init__"),
        ("backends", "PostgresBackend.__init__"),
        ("engine", "Engine.store"),
        ("doors", "CachedLLM.__init__"),
        ("calls", "CacheContext.__init__"),
        ("doors", "ModelJudge.__init__"),
        ("keys", "CallBinder.__init__"),
        ("management", "copy_cache"),
        ("management", "reembed_cache"),
        ("management", "warm_from_log"),
        ("matching", "OnlinePolicy.__init__"),
        ("wire", "WireCache.__init__"),
    }
)
"""Rooms and functions that may be longer and have more parameters: public ones, called with keywords."""


@dataclass(frozen=True)
class Fault:
    """A breach of a rule.

    Attributes:
        where: ``file:line``, relative to the package's folder.
        what: what stands there.
        rule: the rule that it breaks.
    """

    where: str
    what: str
    rule: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what} ({self.rule})"


# ---------------------------------------------------------------------- graphs


def module_graph(tree: Tree, *, types: bool) -> dict[str, set[str]]:
    """Return which module imports which, at load or later; with `types` also what only type checkers see."""
    return graph_of(tree.files, ((i.importer, i.target) for i in _counted(tree, types)))


def room_graph(tree: Tree, *, types: bool) -> dict[str, set[str]]:
    """Return which room at the root imports which; `types` as in `module_graph`."""
    return graph_of(tree.rooms(), ((room(i.importer), room(i.target)) for i in _counted(tree, types)))


def _counted(tree: Tree, types: bool) -> Iterator[Import]:
    return (found for found in tree.imports if types or found.when != FOR_TYPES)


# ---------------------------------------------------------------------- rules


def circle_faults(tree: Tree) -> list[Fault]:
    """Return the circles among rooms and among modules, imports for types included."""
    faults = []
    for what, graph, by_room in (
        ("rooms", room_graph(tree, types=True), True),
        ("modules", module_graph(tree, types=True), False),
    ):
        for component in circles(graph):
            steps = _steps(tree, graph, component, by_room)
            others = (
                f"; {len(component)} reach each other: {', '.join(component)}" if len(component) > len(steps) else ""
            )
            found = f"circle of {what}: " + "; ".join(f"{text} at {where}" for where, text in steps) + others
            faults.append(Fault(steps[0][0], found, "no circles, not even through imports for types"))
    return faults


def _steps(tree: Tree, graph: Graph, component: list[str], by_room: bool) -> list[tuple[str, str]]:
    """Return ``file:line`` and text of the imports that make up the shortest circle of a component."""
    way = shortest_circle(graph, component)
    steps = []
    for source, target in zip(way, [*way[1:], way[0]], strict=True):
        ends = (source, target)
        first = next(
            i for i in tree.imports
            if ends == ((room(i.importer), room(i.target)) if by_room else (i.importer, i.target))
        )  # fmt: skip
        steps.append((tree.where(first.importer, first.line), f"{source} -> {target}"))
    return steps


def unplaced_rooms(tree: Tree) -> list[Fault]:
    """Return the rooms that `LAYERS` does not name."""
    levels = _levels()
    first = {room(module): file for module, file in sorted(tree.files.items(), reverse=True)}
    return [
        Fault(f"{first[name]}:1", f"{name} has no line in the table of layers", "give each room a place in LAYERS")
        for name in tree.rooms()
        if name not in levels
    ]


def layer_faults(tree: Tree) -> list[Fault]:
    """Return the imports that do not go downwards. Rooms that `LAYERS` does not name are not judged."""
    levels = _levels()
    faults = []
    for found in tree.imports:
        source, target = room(found.importer), room(found.target)
        if source == target or found.when == LAZY_NAME or source not in levels or target not in levels:
            continue
        if levels[source] >= levels[target]:
            how = "upwards" if levels[source] > levels[target] else "sideways"
            faults.append(_fault(tree, found, how, "a room imports only rooms of lower lines of LAYERS"))
    return faults


def _levels() -> dict[str, int]:
    return {name: level for level, names in enumerate(LAYERS) for name in names}


def _fault(tree: Tree, found: Import, how: str, rule: str) -> Fault:
    taken = found.target if found.name is None else f"{found.target}.{found.name}"
    return Fault(tree.where(found.importer, found.line), f"{found.importer} imports {taken} {how}".rstrip(), rule)


def only_faults(tree: Tree) -> list[Fault]:
    """Return the imports of the rooms in `ONLY` that they may not have."""
    return [
        _fault(tree, i, "", f"{room(i.importer)} imports only {', '.join(sorted(ONLY[room(i.importer)]))}")
        for i in tree.imports
        if room(i.importer) in ONLY and room(i.target) not in {room(i.importer), *ONLY[room(i.importer)]}
    ]


def engine_faults(tree: Tree) -> list[Fault]:
    """Return the imports of the engine's own module by the parts that it is made of."""
    package, module = ENGINE
    return [
        _fault(tree, i, "", f"parts of {package} never import {module}")
        for i in tree.imports
        if room(i.importer) == package and i.importer != package
        and (i.target == module or (i.target == package and i.name in _names_from(tree, package, module)))
    ]  # fmt: skip


def backend_faults(tree: Tree) -> list[Fault]:
    """Return the imports of a concrete backend by rooms above the backends."""
    levels = _levels()
    taken_by_name = {
        i.name for i in tree.imports if i.importer == BACKENDS and i.name is not None and _is_concrete(i.target)
    }
    return [
        _fault(tree, i, "", "above backends only the CLI and lazy names import a concrete backend")
        for i in tree.imports
        if levels.get(room(i.importer), -1) < levels[BACKENDS]
        and room(i.importer) not in BACKEND_USERS and i.when != LAZY_NAME
        and (_is_concrete(i.target) or (i.target == BACKENDS and i.name in taken_by_name))
    ]  # fmt: skip


def _is_concrete(module: str) -> bool:
    package, _, rest = module.partition(".")
    return package == BACKENDS and rest.partition(".")[0].lstrip("_").partition("_")[0] in CONCRETE


def _names_from(tree: Tree, package: str, module: str) -> set[str | None]:
    return {i.name for i in tree.imports if i.importer == package and i.target == module}


def private_faults(tree: Tree) -> list[Fault]:
    """Return the uses of private names of a module in another package, and of private modules."""
    rule = "names and modules with a leading underscore stay within their package"
    faults = [
        Fault(tree.where(use.importer, use.line), f"{use.importer} uses {use.module}.{use.name}", rule)
        for use in tree.private
        if tree.package_of(use.importer) != tree.package_of(use.module)
    ]
    faults += [_fault(tree, i, "", rule) for i in tree.imports if not _may_see(i.importer, i.target)]
    return sorted(faults, key=lambda fault: fault.where)


def _may_see(importer: str, target: str) -> bool:
    """Return whether a module lies within the package that holds each private module on the path to the target."""
    parts = target.split(".")
    return all(
        f"{importer}.".startswith("".join(f"{part}." for part in parts[:place]))
        for place, part in enumerate(parts)
        if part.startswith("_") and not part.startswith("__")
    )


def root_faults(tree: Tree) -> list[Fault]:
    """Return one fault when too many modules lie at the root."""
    found = root_modules(tree)
    if len(found) <= MOST_ROOT_MODULES:
        return []
    rule = f"at most {MOST_ROOT_MODULES} modules at the root"
    return [Fault("__init__.py:1", f"{len(found)} modules at the root: {', '.join(found)}", rule)]


def root_modules(tree: Tree) -> list[str]:
    """Return the modules at the root that are no packages."""
    return sorted(module for module in tree.files if "." not in module and module not in tree.packages)


def parameter_faults(tree: Tree) -> list[Fault]:
    """Return the functions with too many parameters."""
    rule = f"at most {MOST_PARAMETERS} parameters, PUBLIC_SIGNATURES apart"
    return [
        Fault(tree.where(f.module, f.line), f"{f.name} has {f.parameters} parameters", rule)
        for f in own_functions(tree.functions)
        if f.parameters > MOST_PARAMETERS
    ]


def length_faults(tree: Tree) -> list[Fault]:
    """Return the functions that are too long."""
    rule = f"at most {MOST_LINES} lines without the docstring, PUBLIC_SIGNATURES apart"
    return [
        Fault(tree.where(f.module, f.line), f"{f.name} has {f.lines} lines", rule)
        for f in own_functions(tree.functions)
        if f.lines > MOST_LINES
    ]


def own_functions(functions: Iterable[Function]) -> Iterator[Function]:
    """Yield all functions but `PUBLIC_SIGNATURES` and what is only a signature for type checkers."""
    return (f for f in functions if not f.overload and (room(f.module), f.name) not in PUBLIC_SIGNATURES)


RULES = {
    "circles": circle_faults,
    "rooms without a layer": unplaced_rooms,
    "imports against the layers": layer_faults,
    "imports of runtime": only_faults,
    "imports of the engine by its parts": engine_faults,
    "concrete backends imported from above": backend_faults,
    "private names across packages": private_faults,
    "modules at the root": root_faults,
    "parameters": parameter_faults,
    "lines": length_faults,
}
"""Each rule by what it is about: a function from a `Tree` to its faults."""
