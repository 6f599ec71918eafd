"""Imports, and the garbage that is not looked for meanwhile."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import gc
from praison_nb.imports import rare_collections

collected = []
gc.set_threshold(700, 10, 10)
gc.collect()
if {is_frozen}:
    gc.freeze()
gc.callbacks.append(lambda phase, info: collected.append(phase))
with rare_collections():
    found = [[] for _ in range({size})]
more = [[] for _ in range(20)]
is_old = any(each is found for each in gc.get_objects(generation=2))
# Python 3.12 freezes some hundred of its own.
print(len(collected), is_old, gc.get_freeze_count() >= 1_000, gc.get_threshold()[0])
"""


@pytest.mark.parametrize(
    ("size", "is_frozen", "said"),
    [
        (20_000, False, "0 True False 700"),
        (20, False, "0 False False 700"),
        # Who froze what there is keeps it so, and has the rest looked through.
        (20_000, True, "2 False True 700"),
    ],
)
def test_what_an_import_brings_counts_as_old_without_a_look(size: int, is_frozen: bool, said: str) -> None:
    code = CODE.format(size=size, is_frozen=is_frozen)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == said
