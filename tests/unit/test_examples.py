"""The examples in docstrings run, and say what they print."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest

import praison_nb
from praison_nb.backends import registry
from servers.hosted import HostedServer
from servers.openai import OpenAIServer

MODULES = [module.name for module in pkgutil.walk_packages(praison_nb.__path__, "praison_nb.")]


@pytest.fixture(scope="module")
def addresses() -> Iterator[dict[str, str]]:
    """Examples of agents ask servers of ours, which say what they hear."""
    with OpenAIServer() as openai_server, HostedServer() as hosted_server:
        yield {"openai_url": openai_server.base_url, "hosted_url": hosted_server.url}


@pytest.fixture(autouse=True)
def registered_for_one_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", {})


@pytest.mark.filterwarnings("ignore::DeprecationWarning:praison_nb")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:__main__")
@pytest.mark.parametrize("name", ["praison_nb", *MODULES])
def test_examples(name: str, addresses: dict[str, str]) -> None:
    module = importlib.import_module(name)
    for each in doctest.DocTestFinder().find(module, name, extraglobs=addresses):
        # Before one that is empty too, a runner looks whether any file with source has changed.
        if each.examples:
            assert doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(each).failed == 0


PAGES = ["praison_nb", *(f"praison_nb.{name}" for name in ("errors", "events", "managed", "session", "turn"))]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", [*PAGES, *(name for name in praison_nb.__all__ if name != "__version__")])
def test_each_public_name_has_an_example_that_can_be_copied(name: str, addresses: dict[str, str]) -> None:
    """Beside the name itself it takes nothing that it does not import."""
    public: Any = importlib.import_module(name) if name in PAGES else getattr(praison_nb, name)
    named = {} if inspect.ismodule(public) else {name: public}
    if not (inspect.ismodule(public) or inspect.isclass(public) or inspect.isfunction(public)):
        public = type(public)
    (example,) = doctest.DocTestFinder(recurse=False).find(public, name, globs=addresses | named)
    assert example.examples or name in PAGES
    assert doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example).failed == 0
