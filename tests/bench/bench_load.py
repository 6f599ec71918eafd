"""What `%load_ext praison_nb` costs in a fresh kernel, beside loading an empty extension in the same one.

python tests/bench/bench_load.py
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from servers.kernel import Kernel

ROUNDS = 7
MEASURE = """
import time, sys
from IPython import get_ipython
start = time.perf_counter()
get_ipython().run_line_magic("load_ext", {name!r})
heavy = ("anthropic", "openai", "pandas", "anywidget")
print((time.perf_counter() - start) * 1000, [m for m in heavy if m in sys.modules])
"""


def main() -> None:
    times: dict[str, list[float]] = {"empty_extension": [], "praison_nb": []}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "empty_extension.py").write_text("def load_ipython_extension(shell): pass\n")
        for _ in range(ROUNDS):
            for name in times:
                path = f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
                with Kernel(env={"PYTHONPATH": path}, load=False, start=True) as kernel:
                    milliseconds, imported = kernel.run(MEASURE.format(name=name)).text.split(" ", 1)
                    times[name].append(float(milliseconds))
                    assert imported.strip() == "[]", imported
    empty, ours = (statistics.median(values) for values in times.values())
    print(
        f"%load_ext, {ROUNDS} fresh kernels, median: empty extension {empty:.1f} ms, praison_nb {ours:.1f} ms"
    )
    print(f"praison_nb beyond the empty one: {ours - empty:.1f} ms, and no SDK, pandas or widgets imported")


if __name__ == "__main__":
    main()
