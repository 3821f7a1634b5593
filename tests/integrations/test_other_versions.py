"""SDKs that cannot be installed beside the others, for they ask for openai 2.x: LiteLLM, DSPy, LlamaIndex.

They are in an environment of their own under .venvs, laid over ours: it takes half a minute and 260 MB to make, once.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
FOLDERS = ROOT / ".venvs"

# Imported by LiteLLM 1.106 and not declared: soundfile when an async call is answered from a cache, mcp where a call
# has tools.
UNDECLARED = ["soundfile", "mcp"]
WANTED = ["openai>=2.20,<3", "litellm>=1.100", "dspy>=3", "llama-index-llms-openai>=0.6", *UNDECLARED]
CHECKS = ["openai2", "litellm", "examples", "every_keyword"]


def environment():
    """Return the Python of the environment with these packages, made on the first call."""
    ours = sysconfig.get_paths()["purelib"]
    name = hashlib.sha256("\n".join([*WANTED, ours]).encode()).hexdigest()[:8]
    place = FOLDERS / f"other-py{sys.version_info[0]}{sys.version_info[1]}-{name}"
    if not place.exists():
        FOLDERS.mkdir(exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=FOLDERS, prefix="making-"))
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(made)], check=True)
        python = str(made / "bin" / "python")
        where = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
        own = Path(subprocess.run([python, "-c", where], check=True, capture_output=True, text=True).stdout.strip())
        # Ours come after its own: pip then brings only what is missing, or is there in another version.
        (own / "zz_ours.pth").write_text(f"{ours}\n")
        pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-compile"]
        done = subprocess.run([*pip, *WANTED], capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
        try:
            os.rename(made, place)
        except OSError:  # another run was quicker
            shutil.rmtree(made)
    return str(place / "bin" / "python")


def test_the_sdks_work_through_the_cache():
    variables = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    # The warnings of those packages are not ours to mend.
    command = [environment(), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "default"]
    # In one process: each import of these packages takes seconds.
    done = subprocess.run(
        [*command, *(str(HERE / "other" / f"check_{name}.py") for name in CHECKS)],
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout + done.stderr
