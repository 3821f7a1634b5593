"""What the tests of the real sentence-transformers share: a real model, and a tiny one built from a configuration."""

import subprocess
import sys
import textwrap

import pytest

from semantic_llm_cache.similarity import OnnxEmbeddingProvider, SentenceTransformerProvider
from semantic_llm_cache.similarity.weights import locate

WORDS = [
    "how",
    "do",
    "i",
    "reset",
    "my",
    "password",
    "the",
    "recipe",
    "calls",
    "for",
    "two",
    "cups",
    "of",
    "flour",
    "what",
    "is",
    "python",
    "a",
    "b",
    "c",
    ".",
    "?",
]


@pytest.fixture(scope="session")
def folder():
    """The folder of all-MiniLM-L6-v2 in the weights package."""
    return str(locate().parent)


@pytest.fixture(scope="session")
def minilm(folder):
    provider = SentenceTransformerProvider(folder, device="cpu")
    provider.load()
    return provider


@pytest.fixture(scope="session")
def onnx():
    return OnnxEmbeddingProvider(threads=2)


@pytest.fixture
def build(tmp_path):
    """Return a function that builds a tiny model; another seed gives other weights."""

    def made(name="tiny", seed=0, limit=16):
        import torch
        from sentence_transformers import SentenceTransformer, models
        from transformers import BertConfig, BertModel, BertTokenizerFast

        torch.manual_seed(seed)
        place = tmp_path / name
        plain = tmp_path / f"{name}-plain"
        plain.mkdir()
        vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(WORDS)]
        (plain / "vocab.txt").write_text("\n".join(vocabulary))
        config = BertConfig(
            vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=64, max_position_embeddings=limit, initializer_range=1.0,
        )  # fmt: skip
        BertModel(config).save_pretrained(plain)
        BertTokenizerFast(str(plain / "vocab.txt")).save_pretrained(plain)
        reader = models.Transformer(str(plain), max_seq_length=limit)
        SentenceTransformer(modules=[reader, models.Pooling(32)], device="cpu").save(str(place))
        return place

    return made


@pytest.fixture
def script():
    """Run a script in a process of its own; return its status, and what it printed on both channels."""

    def run(text, *arguments, timeout=120):
        command = [sys.executable, "-c", textwrap.dedent(text), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
        return done.returncode, done.stdout, done.stderr

    return run
