"""The options of a turn: one definition, which help() and completion show."""

from __future__ import annotations

import inspect
import pydoc
from dataclasses import fields
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell

from praison_nb import Agent, HostedAgent, HostedAgentConfig, LocalAgent, LocalAgentConfig, ScriptedBackend
from praison_nb.backends import as_backend
from praison_nb.backends.base import Backend
from praison_nb.errors import ConfigError
from praison_nb.runtime.options import TurnOptions

OPTIONS = {each.name: each.default for each in fields(TurnOptions) if each.init and each.name != "is_sent"}


class Echo:
    """A backend of the user's."""

    def execute(self, prompt: str, **kwargs: Any) -> str:
        return prompt

    def stream(self, prompt: str, **kwargs: Any) -> Any:
        yield prompt

    def reset_session(self) -> None: ...

    def reset_all(self) -> None: ...

    def retrieve_session(self) -> dict[str, Any]:
        return {"id": "echo", "status": "idle"}


BACKENDS = [HostedAgent(), LocalAgent(), ScriptedBackend([]), as_backend(Echo())]


def keywords(method: Any) -> dict[str, Any]:
    parameters = inspect.signature(method).parameters.values()
    assert not any(each.kind is each.VAR_KEYWORD for each in parameters)
    return {each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY}


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: type(backend).__name__)
def test_the_options_of_a_turn_are_the_same_everywhere(backend: Backend) -> None:
    of_begin = keywords(backend.begin)
    assert of_begin == {**OPTIONS, "session": "main", "notices": ()}
    described = inspect.getdoc(backend.begin) or ""
    assert all(f"`{name}" in described for name in of_begin)


def test_what_a_turn_is_taken_up_with() -> None:
    of_attach = keywords(HostedAgent().attach)
    of_new_turns = ("caller_waits", "attachments", "output", "pacer", "mailbox", "on_worker")
    assert of_attach == {name: OPTIONS[name] for name in OPTIONS if name not in of_new_turns}


@pytest.mark.parametrize("method", ["begin", "attach"])
def test_help_and_completion_show_them(method: str) -> None:
    backend = HostedAgent()
    text = pydoc.render_doc(getattr(backend, method), renderer=pydoc.plaintext)
    shell = InteractiveShell()
    shell.user_ns["agent"] = backend
    names = keywords(getattr(backend, method))
    assert all(f"{name}: " in text for name in names)
    typed = f"agent.{method}('x', "
    for use_jedi in (True, False):
        shell.Completer.use_jedi = use_jedi
        with provisionalcompleter():
            found = {each.text for each in shell.Completer.completions(typed, len(typed))}
        assert {f"{name}=" for name in names} <= found, use_jedi


@pytest.mark.parametrize("config", [HostedAgentConfig, LocalAgentConfig])
def test_a_config_shows_its_fields(config: Any) -> None:
    assert {*keywords(config)} == {each.name for each in fields(config)}


def test_a_session_is_called_by_text() -> None:
    with pytest.raises(ConfigError, match="session must be a conversation's name, not 3"):
        Agent(3, ScriptedBackend([])).start("x")  # type: ignore[arg-type]


def test_an_option_that_there_is_not() -> None:
    with pytest.raises(ConfigError, match="no argument colour"):
        ScriptedBackend([]).begin("x", colour="red")  # type: ignore[call-arg]
