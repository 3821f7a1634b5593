"""Reads a package: its modules, what each imports, and its functions. Nothing is imported or run."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = "__init__"
"""The name of the package's own `__init__`; all other modules are named as below the package: ``engine.call``."""

AT_LOAD, IN_CALL, FOR_TYPES, LAZY_NAME = "load", "call", "types", "lazy name"
"""When an import runs: with the module, in a function, never (`TYPE_CHECKING`), in a module's `__getattr__`."""


@dataclass(frozen=True)
class Import:
    """One module taken, or one name out of a module.

    Attributes:
        importer, target: modules, such as ``engine.call``.
        name: what is taken from the target; None for the module itself.
        line: where.
        when: one of `AT_LOAD`, `IN_CALL`, `FOR_TYPES`, `LAZY_NAME`.
    """

    importer: str
    target: str
    name: str | None
    line: int
    when: str


@dataclass(frozen=True)
class PrivateUse:
    """`module._name`, or `_name` imported from `module`."""

    importer: str
    module: str
    name: str
    line: int


@dataclass(frozen=True)
class Function:
    """A function or method.

    Attributes:
        lines: its length without decorators and docstring.
        parameters: how many it names, without `self`, `cls`, ``*args`` and ``**kwargs``.
        overload: whether it is only a signature for type checkers.
    """

    module: str
    name: str
    line: int
    lines: int
    parameters: int
    overload: bool


@dataclass
class Tree:
    """A package as it was read.

    Attributes:
        name: the package's name.
        folder: where it is.
        files: the file of each module, relative to `folder`.
        lines: the number of lines of each module.
        packages: the modules that are the `__init__` of a package below this one.
    """

    name: str
    folder: Path
    files: dict[str, str] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    packages: set[str] = field(default_factory=set)
    imports: list[Import] = field(default_factory=list)
    private: list[PrivateUse] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)

    def where(self, module: str, line: int) -> str:
        """Return ``file:line``, relative to the package's folder."""
        return f"{self.files[module]}:{line}"

    def rooms(self) -> list[str]:
        """Return the modules and packages at the root."""
        return sorted({room(module) for module in self.files})

    def package_of(self, module: str) -> str:
        """Return the package that a module is in. Each module at the root counts as one of its own."""
        if module in self.packages or "." not in module:
            return module
        return module.rpartition(".")[0]


def room(module: str) -> str:
    """Return the module or package at the root that a module belongs to."""
    return module.partition(".")[0]


def find_package(path: Path, name: str = "semantic_llm_cache") -> Path:
    """Return the package's folder from that folder itself, the one around it, or a checkout.

    Raises:
        FileNotFoundError: there is no package at any of the three.
    """
    for folder in (path, path / name, path / "src" / name):
        if (folder / "__init__.py").is_file():
            return folder
    raise FileNotFoundError(f"{path} holds no package: name a folder with __init__.py, {name} or src/{name}")


def read_tree(folder: Path) -> Tree:
    """Read the package in `folder`.

    Raises:
        SyntaxError: a file is not Python.
    """
    tree = Tree(folder.resolve().name, folder)
    sources: dict[str, str] = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        is_package = parts[-1] == "__init__" and len(parts) > 1
        module = ".".join(parts[:-1] if is_package else parts)
        if is_package:
            tree.packages.add(module)
        tree.files[module] = path.relative_to(folder).as_posix()
        sources[module] = path.read_text(encoding="utf-8")
        tree.lines[module] = sources[module].count("\n")
    for module, source in sources.items():
        _Reader(tree, module).visit(ast.parse(source, tree.files[module]))
    return tree


class _Reader(ast.NodeVisitor):
    """Goes through one module and adds what it finds to the tree."""

    def __init__(self, tree: Tree, module: str) -> None:
        self.tree = tree
        self.module = module
        self.when = AT_LOAD
        self.names: list[str] = []  # of the classes and functions around
        self.scopes: list[dict[str, str | None]] = [{}]  # names that stand for modules; None for anything else

    # ------------------------------------------------------------------ imports

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.scopes[-1][alias.asname or alias.name.partition(".")[0]] = None
            parts = alias.name.split(".")
            if parts[0] != self.tree.name:
                continue
            target = self._known(parts[1:])
            self._add(target, None, node.lineno)
            self.scopes[-1][alias.asname or parts[0]] = target if alias.asname else ROOT

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = self._base(node)
        for alias in node.names:
            self.scopes[-1][alias.asname or alias.name] = None
            if base is None:
                continue
            below = ".".join([*base, alias.name])
            if below in self.tree.files:
                self._add(below, None, node.lineno)
                self.scopes[-1][alias.asname or alias.name] = below
                continue
            target = self._known(base)
            self._add(target, alias.name, node.lineno)
            if _is_private(alias.name):
                self.tree.private.append(PrivateUse(self.module, target, alias.name, node.lineno))

    def _base(self, node: ast.ImportFrom) -> list[str] | None:
        """Return the path below the package that names are imported from; None for another package."""
        named = node.module.split(".") if node.module else []
        if not node.level:
            return named[1:] if named[:1] == [self.tree.name] else None
        here = [] if self.module == ROOT else self.module.split(".")
        up = node.level - (1 if self.module in self.tree.packages or self.module == ROOT else 0)
        return [*here[: len(here) - up], *named]

    def _known(self, parts: list[str]) -> str:
        while parts and ".".join(parts) not in self.tree.files:
            parts = parts[:-1]
        return ".".join(parts) or ROOT

    def _add(self, target: str, name: str | None, line: int) -> None:
        if target != self.module:
            self.tree.imports.append(Import(self.module, target, name, line, self.when))

    # ------------------------------------------------------------------ private names

    def visit_Attribute(self, node: ast.Attribute) -> None:
        chain: list[str] = []
        inner: ast.expr = node
        while isinstance(inner, ast.Attribute):
            chain.append(inner.attr)
            inner = inner.value
        if not isinstance(inner, ast.Name):
            self.generic_visit(node)
            return
        module = self._module(inner.id)
        for name in reversed(chain):
            if module is None:
                return
            below = name if module == ROOT else f"{module}.{name}"
            if below in self.tree.files:
                module = below
                continue
            if _is_private(name):
                self.tree.private.append(PrivateUse(self.module, module, name, node.lineno))
            return

    def _module(self, name: str) -> str | None:
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        return None

    # ------------------------------------------------------------------ blocks

    def visit_If(self, node: ast.If) -> None:
        if not _is_type_checking(node.test):
            self.generic_visit(node)
            return
        before, self.when = self.when, FOR_TYPES
        self._all(node.body)
        self.when = before
        self._all(node.orelse)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._all([*node.decorator_list, *node.bases, *node.keywords])
        self.names.append(node.name)
        self._all(node.body)
        self.names.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._all(node.decorator_list)
        self._all([node.args])
        self._all([] if node.returns is None else [node.returns])
        at_root = not self.names
        self.names.append(node.name)
        self.tree.functions.append(_function(self.module, ".".join(self.names), node))
        before = self.when
        if before == AT_LOAD:
            self.when = LAZY_NAME if at_root and node.name == "__getattr__" else IN_CALL
        self.scopes.append(dict.fromkeys(_bound(node)))
        self._all(node.body)
        self.scopes.pop()
        self.when = before
        self.names.pop()

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)

    def _all(self, nodes: Iterable[ast.AST]) -> None:
        for node in nodes:
            self.visit(node)


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def _bound(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    """Yield the names of parameters and variables: they hide a module of the same name."""
    arguments = node.args
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg):
        if argument is not None:
            yield argument.arg
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
            yield inner.id


def _function(module: str, name: str, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Function:
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node, clean=False) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    arguments = node.args
    named = [a.arg for a in (*arguments.posonlyargs, *arguments.args)]
    if named[:1] in (["self"], ["cls"]):
        del named[0]
    overload = any(
        (isinstance(mark, ast.Name) and mark.id == "overload")
        or (isinstance(mark, ast.Attribute) and mark.attr == "overload")
        for mark in node.decorator_list
    )
    return Function(module, name, node.lineno, lines, len(named) + len(arguments.kwonlyargs), overload)
