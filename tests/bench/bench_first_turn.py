"""The first turn of a fresh kernel, beside the first call of a cell that imports the maker's SDK; and
`%load_ext` itself. What praison_nb imports after the cell of `%load_ext` is under way in one, and over in the
other, as where the user types a prompt."""

from __future__ import annotations

import compileall
import time
from collections.abc import Iterator
from functools import partial

from harness import ROOT, Measured, MeasuredKernel, Row, Servers, by_figure, in_turns, servers

BARE = """
from openai import OpenAI
for chunk in OpenAI().chat.completions.create(
    model="gpt-4o-mini", messages=[{"role": "user", "content": "5 chunks"}], stream=True
):
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
"""
OURS = "%%agent\n5 chunks"
LOAD = "%load_ext praison_nb"
EMPTY = "%load_ext empty_extension"


def rows() -> Iterator[Row]:
    # As pip does with what it installs: to compile them takes longer than to import them.
    compileall.compile_dir(ROOT / "praison_nb", quiet=1)
    with servers() as where:
        ways = {
            "bare": partial(_fresh, where, EMPTY, BARE, 0),
            "at once": partial(_fresh, where, LOAD, OURS, 0),
            "later": partial(_fresh, where, LOAD, OURS, 3),
        }
        found = in_turns(ways, warm_up=0)
    first, cpu, load = by_figure({name: [_figures(*each) for each in pairs] for name, pairs in found.items()})
    for name, when in (("at once", "right after %load_ext"), ("later", "3 s after %load_ext")):
        work = f"first text of a fresh kernel's first turn, {when}"
        note = f"CPU {cpu[name]:.2f} s, the SDK's {cpu['bare']:.2f} s"
        yield Row(work, "ms", first[name], first["bare"], "import openai, print", share=1.0, note=note)
    yield Row("cell of %load_ext praison_nb", "ms", load["at once"], load["bare"], "an empty extension")


def _figures(loaded: Measured, turn: Measured) -> tuple[float, float, float]:
    return turn.first * 1e3, turn.cpu, loaded.idle * 1e3


def _fresh(where: Servers, load: str, cell: str, pause: float) -> tuple[Measured, Measured]:
    """Both cells in a fresh kernel, with so many seconds between them."""
    with MeasuredKernel(where.env, load=False) as kernel:
        kernel.do("import sys, types")
        kernel.do(
            "sys.modules['empty_extension'] = types.SimpleNamespace("
            "load_ipython_extension=lambda shell: None, __name__='empty_extension', __spec__=None)"
        )
        loaded = kernel.measure(load)
        time.sleep(pause)
        return loaded, kernel.measure(cell)
