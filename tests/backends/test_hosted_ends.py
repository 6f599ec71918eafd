"""HostedAgent over the real anthropic SDK, against a loopback server: how a turn ends."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from praison_nb import errors as e
from praison_nb.events import Activity
from servers.hosted import (
    HostedServer,
    error,
    idle,
    raw,
    rescheduled,
    running,
    terminated,
    text,
)
from servers.hosted_agent import calls, hosted, of, play

FRESH = {"id": "", "status": "unknown", "title": "", "usage": {"input_tokens": 0, "output_tokens": 0}}


@pytest.mark.parametrize(
    ("steps", "reason", "detail"),
    [
        ([text("x")], "end_turn", ""),
        ([idle("end_turn")], "end_turn", ""),
        ([idle("budget_reached")], "budget_reached", "set_budget"),
        ([idle("refusal", category="cyber", explanation="Not this.")], "refusal", "(cyber): Not this."),
        ([idle("refusal")], "refusal", "the model refused"),
        (
            [raw({"type": "session.status_idle", "stop_reason": {"type": "moon_phase"}})],
            "moon_phase",
            "",
        ),
    ],
)
def test_a_turn_that_ends_says_why(server: HostedServer, steps: list[Any], reason: str, detail: str) -> None:
    server.script(steps)
    turn, _ = play(agent := hosted(server))
    assert turn.error is None and turn.stop_reason == reason and detail in turn.detail
    assert play(agent, "again")[0].text == "again"


ERRORS = (
    "unknown_error",
    "model_overloaded_error",
    "model_rate_limited_error",
    "model_request_failed_error",
    "mcp_connection_failed_error",
    "mcp_authentication_failed_error",
    "billing_error",
    "credential_host_unreachable_error",
    "tool_use_limit_reached_error",
    "compaction_limit_reached_error",
    "repository_authentication_error",
    "repository_forbidden_error",
    "repository_not_found_error",
    "repository_checkout_error",
    "repository_clone_error",
)
KINDS = {
    "model_overloaded_error": e.ServerError,
    "model_request_failed_error": e.ServerError,
    "model_rate_limited_error": e.RateLimitError,
}


def fields_of(kind: str) -> dict[str, Any]:
    """What an error of this kind has beyond its message, made up from the SDK's type."""
    from anthropic.types.beta.sessions import beta_managed_agents_session_error_event as module

    for each in get_args(get_args(module.Error)[0]):
        if get_args(each.model_fields["type"].annotation)[0] == kind:
            known = ("type", "message", "retry_status")
            names = [name for name, field in each.model_fields.items() if field.is_required()]
            return {name: "x" for name in names if name not in known}
    raise LookupError(kind)


def test_every_error_of_the_sdk_is_in_the_table() -> None:
    from anthropic.types.beta.sessions import beta_managed_agents_session_error_event as module

    members = get_args(get_args(module.Error)[0])
    assert {get_args(each.model_fields["type"].annotation)[0] for each in members} == set(ERRORS)


@pytest.mark.parametrize("kind", [*ERRORS, "error_of_the_future"])
def test_errors(server: HostedServer, kind: str) -> None:
    """Each error with each retry status: waited for, the turn's end, the session's end."""
    more = {} if kind == "error_of_the_future" else fields_of(kind)

    def fail(status: str) -> Any:
        told = {"type": kind, "message": "It broke", "retry_status": {"type": status}, **more}
        return raw({"type": "session.error", "error": told})

    server.script(
        [fail("retrying"), rescheduled(), running(), text("at last")],
        [fail("retrying"), fail("exhausted"), idle("retries_exhausted")],
        [text("usable")],
        [fail("terminal"), terminated()],
    )
    agent = hosted(server)
    turn, told = play(agent)
    assert turn.text == "at last" and turn.error is None
    assert "retrying" in [each.text for each in of(Activity, told)]

    turn, _ = play(agent)
    assert type(turn.error) is KINDS.get(kind, e.SessionError)
    assert f"It broke ({kind})" in str(turn.error) and "ask again" in str(turn.error)
    assert agent.retrieve_session()["status"] == "error"

    assert play(agent)[0].text == "usable" and agent.retrieve_session()["status"] == "idle"

    turn, _ = play(agent)
    assert type(turn.error) is e.SessionError and "terminated" in str(turn.error)
    assert "It broke" in str(turn.error) and "reset_session()" in str(turn.error)
    assert agent.retrieve_session()["status"] == "error"
    sent = calls(server, "POST", "/events")
    turn, _ = play(agent)
    assert type(turn.error) is e.SessionError and calls(server, "POST", "/events") == sent
    agent.reset_session()
    assert play(agent, "anew")[0].text == "anew"


def test_an_exhausted_error_ends_the_turn_whatever_the_idle_says(server: HostedServer) -> None:
    server.script([error("billing_error", "exhausted", "No credit")])
    turn, _ = play(hosted(server))
    assert isinstance(turn.error, e.SessionError) and "No credit" in str(turn.error)


def test_retries_exhausted_without_a_word_is_a_failure_too(server: HostedServer) -> None:
    server.script([text("half"), idle("retries_exhausted")])
    turn, _ = play(hosted(server))
    assert isinstance(turn.error, e.SessionError) and turn.text == "half" and turn.usage.output_tokens == 5


def test_a_session_that_ends_in_mid_turn(server: HostedServer) -> None:
    server.script([text("half"), terminated()])
    turn, _ = play(agent := hosted(server))
    assert isinstance(turn.error, e.SessionError) and turn.text == "half"
    assert agent.retrieve_session()["status"] == "error"


@pytest.mark.parametrize(("status", "kind"), [(403, e.AuthenticationError), (404, e.ModelNotFoundError)])
def test_a_key_without_managed_agents_is_told_the_other_way(
    server: HostedServer, status: int, kind: type[e.ProviderError]
) -> None:
    server.refuse(9, status=status, method="POST", path="/agents", message="not for this organization")
    agent = hosted(server, model="claude-opus-4-6")
    turn, _ = play(agent)
    assert type(turn.error) is kind and turn.error.status_code == status
    line = str(turn.error)
    assert "no managed agents for this key" in line and "`-m claude-opus-4-6`" in line
    assert "not for this organization" in line and server.api_key not in line


def test_a_model_that_there_is_not_is_no_matter_of_the_key(server: HostedServer) -> None:
    server.refuse(9, status=404, method="POST", path="/agents", message="model: claude-opus-4-6")
    turn, _ = play(hosted(server, model="claude-opus-4-6"))
    assert "has no model 'claude-opus-4-6'" in str(turn.error)
