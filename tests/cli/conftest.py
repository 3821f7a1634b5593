import io

import pytest
from cli_helpers import fill

from semantic_llm_cache.cli import main


@pytest.fixture
def db(tmp_path):
    path = tmp_path / "cache.db"
    fill(path)
    return path


@pytest.fixture
def run(capsys, monkeypatch):
    """Run the command in this process: (exit code, stdout, stderr)."""
    monkeypatch.delenv("SEMANTIC_LLM_CACHE_URL", raising=False)
    monkeypatch.setenv("COLUMNS", "80")

    def call(*argv, stdin=""):
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        code = main([str(arg) for arg in argv])
        out, err = capsys.readouterr()
        return code, out, err

    return call
