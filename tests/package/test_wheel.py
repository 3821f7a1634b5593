"""What people install: the wheel holds the package, all of it and nothing else, and works on its own."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

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
