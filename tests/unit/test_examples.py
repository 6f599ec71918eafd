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


@pytest.fixture
def addresses(openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Examples of agents ask servers of ours, which say what they hear."""
    monkeypatch.setattr(registry, "_registered", {})
    with HostedServer() as hosted_server:
        yield {"openai_url": openai_server.base_url, "hosted_url": hosted_server.url}


@pytest.mark.filterwarnings("ignore::DeprecationWarning:praison_nb")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:__main__")
@pytest.mark.parametrize("name", ["praison_nb", *MODULES])
def test_examples(name: str, addresses: dict[str, str]) -> None:
    module = importlib.import_module(name)
    result = doctest.testmod(module, extraglobs=addresses, optionflags=doctest.ELLIPSIS)
    assert result.failed == 0


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
