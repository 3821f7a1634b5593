"""How long `import semantic_llm_cache` takes, against `import numpy, asyncio`: fresh processes in turn."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.harness import Bench, Contender, at_most

_TIMED = "from time import perf_counter as now; began = now(); import {}; print(now() - began)"


def run(bench: Bench) -> None:
    """Measure the import statement alone, without the interpreter's own start."""

    def fresh(name: str, modules: str) -> Contender:
        def batch(calls: int) -> float:
            command = [sys.executable, "-c", _TIMED.format(modules)]
            return sum(
                float(subprocess.run(command, capture_output=True, check=True, text=True).stdout) for _ in range(calls)
            )

        return Contender(name, batch, 1)

    bench.say("fresh processes")
    times = bench.interleave(
        [fresh("import semantic_llm_cache", "semantic_llm_cache"), fresh("import numpy, asyncio", "numpy, asyncio")], 25
    )
    bench.ratio("import semantic_llm_cache", times, "import semantic_llm_cache", "import numpy, asyncio", at_most(1.3))
