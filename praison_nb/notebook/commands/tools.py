"""The commands of `%agent` about tools, and which ones the names of `-t` mean."""

from __future__ import annotations

from typing import Any

from ...errors import ConfigError
from ...render import review
from ...render.text import arguments_line
from ...runtime.approvals import digest_of
from ...runtime.deadlock import callers
from ...runtime.main_thread import main_thread_is_busy
from ...runtime.run import Run
from ...tools.builtin.registry import NAMES
from ...tools.policy import check_policy, policies, set_policy
from ...turn import ToolCall
from ..extension import Extension
from ..views.tables import show, table
from .sessions import running_turns, session_names

CHANGED = "The call has changed since it was shown:\n{}\nSay it again to allow it."
UNSEEN = "{}\nNot allowed yet: this is all of it. Say `%agent allow` once more."
IN_CONTAINERS = (
    "For what runs in a hosted agent's container (bash, write, …), and for its MCP tools, the "
    "permission_policy of the toolset decides, as the session on the server has it."
)
USUAL = "as the agent is set; else functions of yours run, and run_python, write_file, execute_command ask"


def tools_named(names: str | None, variables: dict[str, Any]) -> list[Any] | None:
    """The tools that `-t` names: the notebook's functions, else built-in tools. Raises ConfigError."""
    if names is None:
        return None
    return [_tool(name.strip(), variables) for name in names.split(",") if name.strip()]


def _tool(name: str, variables: dict[str, Any]) -> Any:
    # A module may be called inspect: only what can be called comes before a built-in tool.
    if name in NAMES and not callable(variables.get(name)):
        return name
    if name not in variables:
        raise ConfigError(
            f"No function {name!r} in this notebook: define it before you name it with -t. "
            f"Built in are {', '.join(NAMES)}."
        )
    return variables[name]


def allow(extension: Extension, name: str) -> None:
    """Let the tools run that wait for a yes, of one session or of the one that waits."""
    _answer(extension, name, allow=True)


def deny(extension: Extension, name: str) -> None:
    """Refuse them."""
    _answer(extension, name, allow=False)


def _answer(extension: Extension, name: str, *, allow: bool) -> None:
    waiting = [run for run in running_turns(extension, name) if run.turn.waiting]
    if len({run.turn.session for run in waiting}) > 1:
        names = session_names(waiting)
        raise ConfigError(f"Several sessions wait for you: {names}. Name the one that you mean.")
    lines, unseen = [], []
    for run in waiting:
        for call in run.turn.waiting:
            question = review.question(call.name, call.arguments)
            has_changed, is_shown = run.approvals.pop_changed(call.id), run.approvals.is_shown(call)
            if allow and (has_changed or not (is_shown or review.is_short(call.name, call.arguments))):
                lines.append(CHANGED.format(question) if has_changed else UNSEEN.format(question))
                unseen.append((run, call))
                continue
            outcome = _decide(run, call, allow)
            arguments = arguments_line(call)
            counts = review.arguments(call.arguments).counts
            lines.append(f"{outcome}: {review.one_line(call.name)} {arguments} ({counts})")
    show(extension.shell, "\n".join(lines) or "No tool waits for you.")
    for run, call in unseen:
        run.approvals.mark_shown(call)


def _decide(run: Run, call: ToolCall, allow: bool) -> str:
    if allow:
        run.approve(call.id, digest_of(call))
        return "Allowed"
    run.deny(call.id)
    return "Denied"


def policy(extension: Extension, rest: str) -> None:
    """`%agent policy [TOOL allow|ask|deny]`: for all agents of this kernel, and at once."""
    words = rest.split()
    if not words:
        rows = [[name, policies.get(name, "—")] for name in dict.fromkeys([*NAMES, *policies])]
        notes = [f"—: {USUAL}."]
        if any(each.backend.keeps_sessions_on_server for each in extension.conversations):
            notes.append(IN_CONTAINERS)
        table(extension.shell, ["tool", "policy"], rows, notes)
        return
    if len(words) != 2:
        raise ConfigError("Say `%agent policy TOOL allow`, `ask` or `deny`.")
    name, chosen = words[0], check_policy(words[0], words[1])
    if not _runs_here(extension, name):
        raise ConfigError(
            f"No tool {name!r:.60} runs here: built in are {', '.join(NAMES)}; others are your "
            f"functions. {IN_CONTAINERS}"
        )
    # What a model's code says is not the user's word.
    set_policy(name, chosen, by_code=main_thread_is_busy() or bool(callers()))
    for conversation in extension.conversations:
        # A yes for the session was given before this.
        conversation.backend.session.allowed_tools.discard(name)
        for run in conversation.runs if chosen != "ask" else ():
            for call in run.turn.waiting:
                if call.name == name:
                    # The question that stands is answered by this.
                    _decide(run, call, chosen == "allow")
    effect = {"allow": "runs without asking", "ask": "asks before each call", "deny": "never runs"}[chosen]
    show(extension.shell, f"{name} {effect}, for all agents of this kernel.")


def _runs_here(extension: Extension, name: str) -> bool:
    if name in NAMES or callable(extension.shell.user_ns.get(name)):
        return True
    configs = [getattr(each.backend, "config", None) for each in extension.conversations]
    tools = [tool for config in configs for tool in getattr(config, "tools", None) or ()]
    return name in {getattr(tool, "__name__", "") for tool in tools}
