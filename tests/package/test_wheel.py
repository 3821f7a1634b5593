"""What people install: the wheel holds the package, all of it and nothing else, and works on its own."""

import os
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import numpy
import pytest

from semantic_llm_cache import _installation

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return path


def test_it_holds_the_package_and_nothing_else(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    source = ROOT / "src"
    kept = {
        str(path.relative_to(source))
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and ".egg-info" not in str(path)
    }
    assert names == kept
    assert "semantic_llm_cache/py.typed" in names


def test_it_works_where_nothing_else_of_the_project_is(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    code = """
import asyncio, semantic_llm_cache
from semantic_llm_cache import cache, get_stats

@cache(backend="sqlite:///answers.db")
async def ask(prompt):
    return prompt.upper()

async def main():
    assert [await ask("hello"), await ask("hello")] == ["HELLO", "HELLO"]
    assert ask.cache_info().hits == 1

asyncio.run(main())
print(semantic_llm_cache.__file__)
"""
    environ = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}
    run = {"capture_output": True, "text": True, "cwd": tmp_path, "env": environ, "timeout": 60}
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], **run)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(tmp_path / "installed")
    done = subprocess.run([sys.executable, "-m", "semantic_llm_cache", "stats", "--db", "answers.db"], **run)
    assert done.returncode == 0, done.stderr
    assert "answers.db" in done.stdout


def test_it_says_what_it_is(wheel):
    archive = zipfile.ZipFile(wheel)
    (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    metadata = archive.read(name).decode()
    (entry,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
    assert "Name: semantic-llm-cache" in metadata
    assert "Requires-Python: >=3.10" in metadata
    core = [line for line in metadata.splitlines() if line.startswith("Requires-Dist:") and "extra ==" not in line]
    assert [line.split()[1].split(">")[0] for line in core] == ["numpy"]
    assert "semantic-llm-cache = semantic_llm_cache.cli" in archive.read(entry).decode()


# ------------------------------------------------------------------------ the other project of this name


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """The wheel of the other project, from PyPI. Nothing of it is run."""
    folder = tmp_path_factory.mktemp("other")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
    done = subprocess.run([*command, "semantic-llm-cache==0.1.0"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return path


def environment(folder, *wheels):
    """Make an environment that holds these wheels, installed in this order; return its Python and its packages."""
    venv.create(folder, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    for path in wheels:
        zipfile.ZipFile(path).extractall(packages)
    for path in Path(numpy.__file__).parents[1].glob("numpy*"):  # both projects need it
        (packages / path.name).symlink_to(path)
    return folder / "bin" / "python", packages


def imported(python, **environ):
    run = {"capture_output": True, "text": True, "env": {"PATH": os.environ["PATH"], **environ}, "timeout": 60}
    return subprocess.run([python, "-c", "import semantic_llm_cache"], **run)


@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_it_refuses_to_be_mixed_with_the_other_project(wheel, other, tmp_path, first):
    python, packages = environment(tmp_path / "env", *((wheel, other) if first == "ours" else (other, wheel)))
    done = imported(python)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("ImportError: ")]
    assert f"is installed in {packages / 'semantic_llm_cache'}. It has the import name of this one" in line
    assert "pip uninstall semantic-llm-cache" in line
    assert "pip install ." in line


def test_it_refuses_to_run_from_a_checkout_beside_the_other_project(other, tmp_path):
    python, packages = environment(tmp_path / "env", other)
    done = imported(python, PYTHONPATH=str(ROOT / "src"))
    assert f"is installed in {packages / 'semantic_llm_cache'}" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("ImportError: ")


def test_it_runs_where_odd_places_are_on_the_path(tmp_path):
    (tmp_path / "file.zip").write_bytes(b"")
    (tmp_path / "empty" / "semantic_llm_cache").mkdir(parents=True)
    places = ["", "no such folder", str(tmp_path / "file.zip"), str(tmp_path / "empty"), "a\0b", None]
    _installation.refuse_other_project(str(ROOT / "src" / "semantic_llm_cache"), places)


@pytest.mark.parametrize(
    "files",
    [
        ("core.py", "similarity.py", "storage.py"),  # a folder of scripts
        ("README.md", "core.py", "storage.py", "src"),
        ("__init__.py", "core.py"),  # a user's own module
        ("answers.db", "storage.py"),
    ],
)
def test_it_runs_where_a_folder_of_its_name_is_not_the_other_project(tmp_path, files):
    folder = tmp_path / "semantic_llm_cache"
    folder.mkdir()
    for name in files:
        (folder / name).touch()
    _installation.refuse_other_project(str(ROOT / "src" / "semantic_llm_cache"), [str(tmp_path)])


def test_this_project_has_no_file_that_marks_the_other_one():
    here = {path.name for path in (ROOT / "src" / "semantic_llm_cache").iterdir()}
    assert not here & _installation._THEIRS


def test_messages_name_the_packages_of_each_extra():
    text = (ROOT / "pyproject.toml").read_text()
    for extra, packages in _installation.PACKAGES.items():
        (line,) = re.findall(rf"^{extra} = \[(.*)\]$", text, re.MULTILINE)
        declared = re.findall(r'"([a-z-]+)', line)
        assert sorted(packages) == sorted(declared), extra


def test_no_message_sends_people_to_the_other_project():
    folders = ("src", "examples", "docs")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".md")]
    wrong = re.compile(r'pip install[^\n]* "?semantic-llm-cache')
    found = [path.name for path in files if wrong.search(path.read_text(encoding="utf-8"))]
    assert found == ["_installation.py"]  # where the reason is
