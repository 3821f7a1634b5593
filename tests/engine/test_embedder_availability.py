"""`similarity` below 1 needs an embedder, and says so when decorating."""

import pytest

BLOCKED = """
    import importlib.abc, sys

    class Blocker(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in ("onnxruntime", "tokenizers", "sentence_transformers", "torch"):
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    sys.meta_path.insert(0, Blocker())
    for name in ("onnxruntime", "tokenizers"):
        try:
            __import__(name)
        except ModuleNotFoundError:
            pass
        else:
            raise SystemExit("the blocker does not work")

    import asyncio
    from semantic_llm_cache import CacheContext, EmbeddingUnavailableError, SemanticCache, cache

    def tell(make):
        try:
            make()
        except EmbeddingUnavailableError as error:
            print("told:", error)
        else:
            print("silent")
"""

CASES = {
    "decorator": ("tell(lambda: cache(similarity=0.9))", "told"),
    "engine": ("tell(lambda: SemanticCache(similarity=0.9))", "told"),
    "engine's decorator": ("tell(lambda: SemanticCache().cache(similarity=0.9))", "told"),
    "exact only": ("tell(lambda: cache(similarity=1.0))", "silent"),
    "off": ("tell(lambda: cache(similarity=0.9, enabled=False))", "silent"),
    "embedder of one's own": ("tell(lambda: cache(similarity=0.9, embedder=lambda text: [1.0]))", "silent"),
}


@pytest.mark.parametrize(("code", "expected"), CASES.values(), ids=CASES)
def test_without_the_packages(code, expected, script):
    status, out, err, _ = script(BLOCKED + "    " + code)
    assert status == 0, err
    assert out.startswith(expected), out
    if expected == "told":
        assert "pip install onnxruntime tokenizers" in out
        assert "semantic-llm-cache model install" in out


def test_disabled_by_the_environment(script):
    status, out, err, _ = script(
        BLOCKED + "    tell(lambda: cache(similarity=0.9))", env={"SEMANTIC_LLM_CACHE_DISABLED": "1"}
    )
    assert (status, out.strip()) == (0, "silent"), err


def test_a_context_that_asks_for_near_matching(script):
    text = """
    @cache
    def ask(prompt: str):
        return prompt

    def inside():
        with CacheContext(similarity=0.9):
            ask("x")

    assert ask("x") == "x"
    tell(inside)
    """
    status, out, err, _ = script(BLOCKED + text)
    assert (status, out.split(":")[0]) == (0, "told"), err


def test_packages_but_no_model(script, tmp_path):
    text = """
    from semantic_llm_cache import EmbeddingUnavailableError, cache

    try:
        cache(similarity=0.9)
    except EmbeddingUnavailableError as error:
        print("told:", error)
    """
    status, out, err, _ = script(text, env={"SEMANTIC_LLM_CACHE_MODEL": str(tmp_path / "nowhere")})
    assert (status, out.split(":")[0]) == (0, "told"), err
    assert "nowhere" in out


def test_nothing_is_loaded_when_decorating(script):
    text = """
    import sys
    from semantic_llm_cache import cache

    @cache(similarity=0.9)
    def ask(prompt: str):
        return prompt

    print([name for name in ("onnxruntime", "tokenizers", "openai", "pydantic") if name in sys.modules])
    """
    status, out, err, _ = script(text)
    assert (status, out.strip()) == (0, "[]"), err
