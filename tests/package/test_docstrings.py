"""Examples in docstrings run, and every public name has a docstring."""

import doctest
import importlib
import inspect
import pkgutil
import sys
import types
import warnings

import pytest

import semantic_llm_cache

MODULES = sorted(
    info.name
    for info in pkgutil.walk_packages(semantic_llm_cache.__path__, "semantic_llm_cache.")
    if not info.name.endswith("__main__")
    # pydantic-ai does not support Python 3.10
    and (sys.version_info >= (3, 11) or "pydantic_ai" not in info.name)
)


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    module = importlib.import_module(name)
    output: list[str] = []
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for example in finder.find(module, name):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            runner.run(example, out=output.append)
    assert runner.failures == 0, "".join(output)


def test_there_are_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    count = sum(bool(found.examples) for name in MODULES for found in finder.find(importlib.import_module(name), name))
    assert count > 40


def public(module):
    for name in getattr(module, "__all__", ()):
        thing = getattr(module, name)
        if isinstance(thing, types.GenericAlias):  # a class to Python 3.10
            continue
        if inspect.isclass(thing) or inspect.isfunction(thing):
            yield name, thing
            if inspect.isclass(thing):
                for attribute, member in vars(thing).items():
                    if not attribute.startswith(("_", "test_")) and (
                        inspect.isfunction(member) or isinstance(member, property)
                    ):
                        yield f"{name}.{attribute}", member


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_is_documented(name):
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} says not what it is"
    missing = [label for label, thing in public(module) if not inspect.getdoc(thing)]
    assert missing == []
