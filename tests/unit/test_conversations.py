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
        with pytest.raises(ConfigError, match=r"runs 'embedded', .* and 'hf:OWNER/REPO', not 'gpt-4o'"):
            conversations.get(name, "embedded", model="gpt-4o")
    assert conversations.find("x").backend.model == "gpt-4o-mini"


def test_what_is_refused_begins_nothing_anew() -> None:
    conversations = Conversations()
    session = conversations.get("x", "local", model="gpt-4o-mini").backend.session
    session.id = "1"
    with pytest.raises(ConfigError):
        conversations.get("x", "local", new=True, max_turns=-1)
    assert conversations.find("x").backend.session is session


CLAUDE = "claude-sonnet-5-5"


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")


def test_a_claude_by_its_name_runs_here_and_hosted_where_that_is_asked(key: None) -> None:
    conversations = Conversations()
    assert conversations.get("default", None).backend.name == "hosted"
    assert conversations.get("here", None, model=CLAUDE).backend.name == "local"
    there = conversations.get("there", "hosted", model=CLAUDE)
    assert (there.backend.name, there.backend.model) == ("hosted", CLAUDE)


def test_a_session_on_a_server_goes_on_there_with_another_of_its_models(key: None) -> None:
    conversations = Conversations()
    there = conversations.get("x", "hosted")
    there.backend.session.id = "sesn_1"
    assert conversations.get("x", None, model=CLAUDE) is there and there.backend.model == CLAUDE
    there.backend.session.id = "sesn_2"
    for other in ("gpt-5.6-terra", "mistral/mistral-small-latest"):
        with pytest.raises(ConfigError, match="runs on hosted"):
            conversations.get("x", None, model=other)
    assert conversations.get("x", None, model=CLAUDE, new=True).backend.name == "local"


def test_what_came_to_no_session_can_begin_elsewhere(key: None) -> None:
    conversations = Conversations()
    assert conversations.get("main", None).backend.name == "hosted"
    assert conversations.get("main", None, model=CLAUDE).backend.name == "local"


def test_a_model_of_another_provider_goes_on_in_the_same_session() -> None:
    conversations = Conversations()
    first = conversations.get("x", None, model="mistral/mistral-small-latest", effort="high")
    first.backend.session.id = "local-1"
    for model in (CLAUDE, "gpt-5.6-terra", "ollama/llama3.2", "embedded"):
        assert conversations.get("x", None, model=model) is first
        assert (first.backend.model, first.backend.config.effort) == (model, "high")  # type: ignore[attr-defined]
    conversations.get("x", None, effort="none")
    assert first.backend.config.effort == "none"  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="'high'"):
        conversations.get("x", None, effort="hihg")
    assert first.backend.config.effort == "none"  # type: ignore[attr-defined]


def test_a_claude_of_an_earlier_kernel_goes_on_where_it_was(key: None) -> None:
    hosted = StoredSession(
        id="sesn_1", name="x", backend="hosted", asked_for="hosted", options={"model": "claude-opus-5"}
    )
    local = StoredSession(
        id="local-1", name="y", backend="local", asked_for="local", options={"model": CLAUDE, "effort": "low"}
    )
    assert Conversations().restore(hosted).backend.name == "hosted"
    restored = Conversations().restore(local).backend
    assert (restored.name, restored.model, restored.config.effort) == ("local", CLAUDE, "low")  # type: ignore[attr-defined]
