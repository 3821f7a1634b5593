"""`make quick` picks the tests of what changed."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from scripts.quick import nearest  # noqa: E402

TESTS = {
    "tests/keys/test_binding.py": "from semantic_llm_cache.keys.binding import bind\n",
    "tests/keys/test_other.py": "",
    "tests/doors/test_uses_it.py": "from semantic_llm_cache.keys import binding\n",
    "tests/package/test_pages.py": "",
    "tests/package/test_public.py": "",
}


def test_a_module_has_the_tests_that_name_it_then_those_of_its_room():
    assert nearest(["src/semantic_llm_cache/keys/binding.py"], TESTS) == [
        "tests/keys/test_binding.py", "tests/doors/test_uses_it.py", "tests/keys/test_other.py",
    ]  # fmt: skip


def test_changed_tests_come_first_and_each_file_once():
    names = ["src/semantic_llm_cache/keys/binding.py", "tests/keys/test_other.py"]
    assert nearest(names, TESTS)[0] == "tests/keys/test_other.py"
    assert len(nearest(names, TESTS)) == 3


def test_pages_and_modules_at_the_top():
    assert nearest(["docs/keys.md"], TESTS) == ["tests/package/test_pages.py"]
    assert nearest(["src/semantic_llm_cache/utils.py"], TESTS) == [
        "tests/package/test_pages.py", "tests/package/test_public.py",
    ]  # fmt: skip
    assert nearest(["LICENSE"], TESTS) == []
