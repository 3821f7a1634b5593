"""`semantic-llm-cache model`: what `check` says of the precision."""

import json

import numpy as np
import pytest

from semantic_llm_cache.similarity import sessions

WORKS = "The model works. Dimension 384"
FELL_BACK = "The model works, but not in 8 bits: fp32 is used on this machine"


@pytest.mark.parametrize("other_processor", [False, True])
def test_check_says_whether_8_bits_work(run, monkeypatch, other_processor):
    if other_processor:
        stored = sessions.stored_vectors()
        monkeypatch.setattr(sessions, "stored_vectors", lambda: np.roll(stored, 1, axis=0))
    code, out, _ = run("model", "check", "--precision", "int8")
    assert code == 0
    assert out.startswith(FELL_BACK if other_processor else WORKS)
    if other_processor:
        code, out, _ = run("model", "check", "--precision", "int8", "--json")
        assert json.loads(out)["precision"] == "fp32"
