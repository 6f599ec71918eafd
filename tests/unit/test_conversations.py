"""The kernel's conversations by name."""

from __future__ import annotations

import pytest

from praison_nb.errors import ConfigError
from praison_nb.notebook.conversations.registry import Conversations
from praison_nb.store import StoredSession


@pytest.mark.parametrize("new", [False, True])
def test_embedded_means_the_embedded_model(new: bool) -> None:
    """What is said to it must reach no server."""
    conversations = Conversations()
    before = conversations.get("x", "local", model="gpt-4o-mini")
    assert before.backend.name == "local"
    now = conversations.get("x", "embedded", new=new)
    assert now is before and (now.backend.name, now.backend.model) == ("embedded", "embedded")
    conversations.get("x", None, model="gguf:model.gguf")
    assert conversations.get("x", "embedded").backend.model == "gguf:model.gguf"


def test_embedded_means_it_in_the_next_kernel_too() -> None:
    options = {"model": "gpt-4o-mini"}
    stored = StoredSession(id="1", name="x", backend="local", asked_for="local", options=options)
    assert Conversations().restore(stored, "embedded").backend.model == "embedded"
    assert Conversations().restore(stored).backend.model == "gpt-4o-mini"


def test_embedded_runs_no_other_model() -> None:
    conversations = Conversations()
    conversations.get("x", "local", model="gpt-4o-mini")
    for name in ("x", "y"):
        with pytest.raises(ConfigError, match="runs 'embedded' and 'gguf:PATH', not 'gpt-4o'"):
            conversations.get(name, "embedded", model="gpt-4o")
    assert conversations.find("x").backend.model == "gpt-4o-mini"


def test_what_is_refused_begins_nothing_anew() -> None:
    conversations = Conversations()
    session = conversations.get("x", "local", model="gpt-4o-mini").backend.session
    session.id = "1"
    with pytest.raises(ConfigError):
        conversations.get("x", "local", new=True, max_turns=-1)
    assert conversations.find("x").backend.session is session
