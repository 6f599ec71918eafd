"""The examples in docstrings run, and say what they print."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import praison_nb

MODULES = [module.name for module in pkgutil.walk_packages(praison_nb.__path__, "praison_nb.")]


@pytest.mark.filterwarnings("ignore::DeprecationWarning:praison_nb")
@pytest.mark.parametrize("name", ["praison_nb", *MODULES])
def test_examples(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.failed == 0


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder()
    found = [test for name in MODULES for test in finder.find(importlib.import_module(name)) if test.examples]
    assert len(found) > 25
