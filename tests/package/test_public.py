"""What people may import, under which names, and at what cost; and what decorating refuses."""

import importlib
import inspect
import subprocess
import sys

import pytest

import semantic_llm_cache
from semantic_llm_cache import EmbeddingUnavailableError, SemanticCache, cache
from semantic_llm_cache.similarity import factory, weights

NAMES = {
    "semantic_llm_cache": """
        cache SemanticCache Request Lookup last_lookup CacheContext CachedLLM CacheConfig CacheStats
        register_fingerprint set_default_embedder get_stats clear_cache invalidate warm_cache export_cache
        import_cache get_default_backend set_default_backend StorageBackend PromptCacheError CacheBackendError
        CacheSerializationError CacheNotFoundError CacheKeyError EmbeddingUnavailableError __version__
        report_right report_wrong copy_cache reembed_cache warm_from_log AnswerJudge AnswerVerdict
        CrossEncoderJudge ModelJudge
    """,
    "semantic_llm_cache.backends": """
        EncryptedBackend MemoryBackend PostgresBackend RedisBackend SQLiteBackend backend_from_url resolve_backend
    """,
    "semantic_llm_cache.stats": """
        get_stats clear_cache invalidate warm_cache export_cache import_cache CacheStats reset_stats
    """,
    "semantic_llm_cache.sync": """
        clear_cache copy_cache export_cache import_cache invalidate reembed_cache report_right report_wrong warm_cache
        warm_from_log
    """,
    "semantic_llm_cache.similarity": """
        create_embedding_provider EmbeddingCache EmbeddingProvider DummyEmbeddingProvider OnnxEmbeddingProvider
        SentenceTransformerProvider OpenAIEmbeddingProvider cosine_similarity CallableEmbeddingProvider Hidden Unseen
        check_available get_default_embedder resolve_embedder self_test set_default_embedder
    """,
    "semantic_llm_cache.config": "CacheConfig CacheEntry SCHEMA_VERSION check_similarity",
    "semantic_llm_cache.storage": "StorageBackend Candidate Held Lease Text",
    "semantic_llm_cache.utils": "normalize_prompt hash_prompt estimate_tokens PersonalData",
    "semantic_llm_cache.exceptions": """
        PromptCacheError CacheBackendError CacheSerializationError CacheNotFoundError CacheKeyError
        EmbeddingUnavailableError EncryptionKeyError CacheReentryError CacheWarning
    """,
}


@pytest.mark.parametrize("module", NAMES)
def test_exactly_these_names_are_exported(module):
    found = importlib.import_module(module)
    assert sorted(found.__all__) == sorted(NAMES[module].split())
    for name in found.__all__:
        assert getattr(found, name) is not None


def test_stats_is_there_without_importing_it_by_name():
    code = "import semantic_llm_cache as s; print(s.stats.get_stats()['hits'], 'stats' in dir(s))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "True"]


def test_cache_takes_the_documented_arguments():
    parameters = inspect.signature(cache).parameters
    positional = {n: p.default for n, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD}
    assert list(positional.items()) == [
        ("similarity", 1.0),
        ("ttl", 3600),
        ("backend", None),
        ("namespace", "default"),
        ("enabled", True),
        ("key_func", None),
    ]
    keywords = {n: p.default for n, p in parameters.items() if p.kind is p.KEYWORD_ONLY}
    documented = {
        "embedder": None, "prompt": None, "ignore": (), "scope": None, "version": None, "normalizer": None,
        "tags": (), "cache_if": None, "result_type": None, "on_event": None, "on_error": "open", "timeout": 1.0,
    }  # fmt: skip
    assert keywords.items() >= documented.items()


def test_errors_have_one_root():
    from semantic_llm_cache import exceptions

    for name in exceptions.__all__:
        kind = getattr(exceptions, name)
        assert issubclass(kind, UserWarning if name == "CacheWarning" else exceptions.PromptCacheError)


def test_version_is_the_distributions():
    from importlib.metadata import version

    assert semantic_llm_cache.__version__ == version("semantic-llm-cache")


HEAVY = """
    onnxruntime onnx tokenizers openai anthropic ollama pydantic pydantic_core attr attrs sqlite3 _sqlite3 httpx httpx2
    requests torch transformers sentence_transformers redis psycopg matplotlib http.client urllib.request email tempfile
    multiprocessing concurrent.futures.process unittest
""".split()  # noqa: SIM905


LATE = """
    json hashlib hmac unicodedata
    semantic_llm_cache.similarity.cache semantic_llm_cache.similarity.unseen semantic_llm_cache.similarity.differences
    semantic_llm_cache.keys.client_forms semantic_llm_cache.keys.object_forms semantic_llm_cache.keys.function_forms
    semantic_llm_cache.keys.instances semantic_llm_cache.keys.known_types semantic_llm_cache.doors.methods
    semantic_llm_cache.metrics.learned semantic_llm_cache.metrics.stats semantic_llm_cache.metrics.budgets
    semantic_llm_cache.engine.shadow semantic_llm_cache.engine.redacting semantic_llm_cache.engine.noise
    semantic_llm_cache.engine.watch semantic_llm_cache.matching.policy semantic_llm_cache.storage.selection
    semantic_llm_cache.storage.urls numpy.typing difflib urllib.parse
""".split()  # noqa: SIM905
"""What neither the decorator nor an exact hit in memory uses. Each takes 0.1 to 2 ms to import."""


STANDARD = {"sqlite3", "_sqlite3", "tempfile", "unittest", "concurrent.futures.process"}


def test_importing_is_light():
    code = (
        "import sys, numpy\n"
        "before = set(sys.modules)\n"
        "from semantic_llm_cache import *\n"
        "print('\\n'.join(set(sys.modules) - before))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "semantic_llm_cache" in out
    assert sorted(set(out) & set(HEAVY)) == []


def test_an_exact_hit_in_memory_loads_only_what_it_uses():
    code = (
        "import asyncio, sys, numpy\n"
        "before = set(sys.modules)\n"
        "from semantic_llm_cache import cache\n"
        "@cache\n"
        "async def ask(prompt: str) -> str: return prompt\n"
        "async def main(): return [await ask('q') for _ in range(2)]\n"
        "asyncio.run(main())\n"
        "print('\\n'.join(set(sys.modules) - before))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "semantic_llm_cache.engine.engine" in out
    assert sorted(set(out) & set(LATE)) == []


def test_what_is_loaded_late_is_there_for_near_matching_and_methods_when_decorating():
    code = (
        "import sys\n"
        "from semantic_llm_cache import cache\n"
        "class Bot:\n"
        "    @cache(similarity=0.9, embedder='dummy')\n"
        "    def ask(self, prompt): return prompt\n"
        "late = ('similarity.cache', 'keys.instances', 'keys.object_forms')\n"
        "print([name for name in late if f'semantic_llm_cache.{name}' not in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_the_name_of_the_package_alone_loads_no_numpy_and_modules_are_still_reached_through_it():
    code = (
        "import sys, semantic_llm_cache as package\n"
        "assert 'numpy' not in sys.modules and 'asyncio' not in sys.modules\n"
        "assert package.__version__\n"
        "for name in package.__all__: getattr(package, name)\n"
        "for name in ('config', 'exceptions', 'similarity', 'stats', 'storage', 'utils'): getattr(package, name)\n"
        "assert set(package.__all__) <= set(dir(package))\n"
        "try: package.nonsense\n"
        "except AttributeError: print('ok')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "ok", done.stderr


def test_an_exact_cache_needs_nothing_but_numpy():
    code = (
        "import sys\n"
        f"for name in {sorted(set(HEAVY) - STANDARD)!r}:\n"
        "    sys.modules[name] = None\n"
        "import asyncio\n"
        "from semantic_llm_cache import cache, get_stats\n"
        "@cache\n"
        "async def ask(prompt): return prompt\n"
        "async def main(): return [await ask('q') for _ in range(2)]\n"
        "asyncio.run(main())\n"
        "print(get_stats()['hits'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "1", done.stderr


# ------------------------------------------------------------------------ errors when decorating


def function(prompt: str, model: str = "m") -> str:
    return prompt


@pytest.mark.parametrize(
    ("options", "error", "named"),
    [
        ({"similarity": 1.01}, ValueError, "similarity=1.01"),
        ({"similarity": -0.1}, ValueError, "similarity=-0.1"),
        ({"similarity": float("nan")}, ValueError, "similarity=nan"),
        ({"similarity": "0.9"}, TypeError, "similarity='0.9'"),
        ({"similarity": True}, TypeError, "similarity=True"),
        ({"similarity": None}, TypeError, "similarity=None"),
        ({"ttl": -1}, ValueError, "ttl=-1"),
        ({"ttl": "soon"}, ValueError, "ttl='soon'"),
        ({"ttl": [1]}, TypeError, r"ttl=\[1\]"),
        ({"backend": 3}, TypeError, "backend= must be"),
        ({"backend": "nope://"}, ValueError, "nope"),
        ({"namespace": ""}, ValueError, "namespace=''"),
        ({"namespace": 3}, TypeError, "namespace=3"),
        ({"enabled": "yes"}, TypeError, "enabled='yes'"),
        ({"key_func": "key"}, TypeError, "key_func='key'"),
        ({"embedder": 3, "similarity": 0.9}, TypeError, "embedder= must be"),
        ({"embedder": "nope", "similarity": 0.9}, ValueError, "nope"),
        ({"prompt": "nope"}, TypeError, "prompt='nope'"),
        ({"ignore": ("nope",)}, TypeError, "ignore='nope'"),
        ({"ignore": "nope"}, TypeError, "ignore='nope'"),
        ({"scope": {"x": object()}}, TypeError, "scope"),
        ({"version": 1.5}, TypeError, "version=1.5"),
        ({"normalizer": "lower"}, TypeError, "normalizer='lower'"),
        ({"tags": [3]}, TypeError, r"tags=\[3\]"),
        ({"tags": [""]}, TypeError, "tags="),
        ({"cache_if": "yes"}, TypeError, "cache_if='yes'"),
        ({"on_event": "print"}, TypeError, "on_event='print'"),
        ({"on_error": "explode"}, ValueError, "on_error='explode'"),
        ({"timeout": 0}, ValueError, "timeout=0"),
        ({"timeout": -1}, ValueError, "timeout=-1"),
        ({"timeout": "1s"}, TypeError, "timeout='1s'"),
        ({"nonsense": 1}, TypeError, "nonsense"),
    ],
)
def test_bad_options_are_named_when_decorating(options, error, named):
    with pytest.raises(error, match=named):
        cache(**options)(function)
    with pytest.raises(error, match=named):
        engine_options = {k: v for k, v in options.items() if k != "backend"}
        SemanticCache(backend=options.get("backend")).cache(**engine_options)(function)


@pytest.mark.parametrize("what", [3, "text", property(lambda self: 1)])
def test_what_is_no_function_is_refused(what):
    with pytest.raises(TypeError):
        cache()(what)


def test_no_embedder_is_told_when_decorating_with_the_two_commands(monkeypatch, tmp_path):
    monkeypatch.setattr(weights, "has_package", lambda name: False)
    monkeypatch.setattr(factory._process, "models", {})  # an earlier test may have loaded the process's model
    for options in ({"similarity": 0.9}, {"similarity": 0.0}, {"similarity": 0.9, "embedder": "auto"}):
        with pytest.raises(EmbeddingUnavailableError) as caught:
            cache(**options)(function)
        assert "pip install onnxruntime tokenizers" in str(caught.value)
        assert "semantic-llm-cache model install" in str(caught.value)
    # Nothing is looked for where nothing is needed.
    cache(similarity=1.0)(function)
    cache(similarity=0.9, enabled=False)(function)
    cache(similarity=0.9, embedder="dummy")(function)
    monkeypatch.setenv("SEMANTIC_LLM_CACHE_DISABLED", "1")
    assert cache(similarity=0.9)(function)("q") == "q"


def test_looking_for_the_embedder_loads_nothing():
    code = (
        "import sys\n"
        "from semantic_llm_cache import cache\n"
        "@cache(similarity=0.9)\n"
        "def ask(prompt): return prompt\n"
        "print([m for m in ('onnxruntime', 'tokenizers', 'torch') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_the_disabling_variable(monkeypatch):
    ran = []

    def ask(prompt):
        ran.append(prompt)
        return prompt

    for value, runs in (("1", 2), ("true", 2), ("0", 1), ("", 1)):
        monkeypatch.setenv("SEMANTIC_LLM_CACHE_DISABLED", value)
        ran.clear()
        cached = cache(namespace=f"n{value}")(ask)
        cached("q")
        cached("q")
        assert len(ran) == runs
