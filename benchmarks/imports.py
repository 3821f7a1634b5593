"""How long `from semantic_llm_cache import cache` takes, against `import numpy, asyncio`: fresh processes in turn.

Both sides read compiled modules, as after an install: the first round writes them into a folder of the
benchmark, whatever the environment says about bytecode.
"""

from __future__ import annotations

import os
import subprocess
import sys

from benchmarks.harness import Bench, Contender, at_most

_TIMED = "from time import perf_counter as now; began = now(); {}; print(now() - began)"


def run(bench: Bench) -> None:
    """Measure the import statement alone, without the interpreter's own start."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environ["PYTHONPYCACHEPREFIX"] = str(bench.folder / "bytecode")

    def fresh(statement: str) -> Contender:
        command = [sys.executable, "-c", _TIMED.format(statement)]

        def batch(calls: int) -> float:
            seconds = 0.0
            for _ in range(calls):
                seconds += float(
                    subprocess.run(command, capture_output=True, check=True, text=True, env=environ).stdout
                )
            return seconds

        return Contender(statement, batch, 1)

    bench.say("fresh processes")
    ours, floor = "from semantic_llm_cache import cache", "import numpy, asyncio"
    times = bench.interleave([fresh(ours), fresh(floor)], 25)
    bench.ratio(ours, times, ours, floor, at_most(1.3))
