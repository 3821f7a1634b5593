"""SDKs that cannot be installed beside the others: each in a folder of its own under .venvs, laid over ours.

openai 2.x is small and always tested. LiteLLM, which asks for openai 2.x too, is some 300 MB: it is tested where
its folder is, or where SEMANTIC_LLM_CACHE_ALL_CLIENTS=1 asks for it to be made.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
FOLDERS = ROOT / ".venvs"

WANTED = {
    "openai2": ["--no-deps", "openai>=2,<3"],
    # soundfile: imported by LiteLLM 1.106 when an async call is answered from a cache, and not declared.
    "litellm": ["openai>=2,<3", "litellm>=1.100", "soundfile"],
}


def folder(name):
    return FOLDERS / f"other-{name}-py{sys.version_info[0]}{sys.version_info[1]}"


def installed(name):
    """Return the folder with a package and what it needs, made on the first call."""
    place = folder(name)
    if not place.exists():
        FOLDERS.mkdir(exist_ok=True)
        made = tempfile.mkdtemp(dir=FOLDERS, prefix=f"{name}-")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--target", made, *WANTED[name]]
        subprocess.run(command, check=True, timeout=600)
        try:
            os.rename(made, place)
        except OSError:  # another run was quicker
            shutil.rmtree(made)
    return place


def names():
    every = os.environ.get("SEMANTIC_LLM_CACHE_ALL_CLIENTS") == "1"
    return [name for name in WANTED if name == "openai2" or every or folder(name).exists()]


@pytest.mark.parametrize("name", names())
def test_the_sdk_works_through_the_cache(name):
    environment = {**os.environ, "PYTHONPATH": str(installed(name)), "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    # The warnings of those packages are not ours to mend.
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "default"]
    done = subprocess.run(
        [*command, str(HERE / "other" / f"check_{name}.py")],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
