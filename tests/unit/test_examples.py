"""The examples in docstrings run, and say what they print."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
from typing import Any

import pytest

import praison_nb
from servers.hosted import HostedServer
from servers.openai import OpenAIServer

MODULES = [module.name for module in pkgutil.walk_packages(praison_nb.__path__, "praison_nb.")]


@pytest.mark.filterwarnings("ignore::DeprecationWarning:praison_nb")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:__main__")
@pytest.mark.parametrize("name", ["praison_nb", *MODULES])
def test_examples(name: str, openai_server: OpenAIServer) -> None:
    """Those of agents ask servers of ours, which say what they hear."""
    module = importlib.import_module(name)
    with HostedServer() as hosted_server:
        addresses = {"openai_url": openai_server.base_url, "hosted_url": hosted_server.url}
        result = doctest.testmod(module, extraglobs=addresses, optionflags=doctest.ELLIPSIS)
    assert result.failed == 0


@pytest.mark.parametrize("name", [name for name in praison_nb.__all__ if name != "__version__"])
def test_each_public_name_has_an_example_of_its_own(name: str) -> None:
    public: Any = getattr(praison_nb, name)
    described = public if inspect.isclass(public) or inspect.isfunction(public) else type(public)
    assert ">>> " in (inspect.getdoc(described) or "")
