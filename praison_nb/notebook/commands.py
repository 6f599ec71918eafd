"""What `%agent` does: look after sessions."""

from __future__ import annotations

from html import escape
from typing import Any

from .. import backends, plain, render
from ..backends.catalog import offers
from ..errors import ConfigError
from ..session import Status
from .toolbox_magic import policy_command
from .usage_settings import budget_command, price_command

NONE_YET = "No sessions yet: ask something with %%agent."


def run_command(extension: Any, magics: Any, line: str) -> None:
    """Do what the line of `%agent` says."""
    from . import session_commands as stored

    command, _, rest = line.strip().partition(" ")
    rest = rest.strip()
    match command:
        case "":
            _table(
                extension.shell, ["session", "status", "model", "backend", "in", "out"], _sessions(extension)
            )
        case "stop":
            _stop(extension, rest)
        case "allow" | "deny":
            _answer(extension, rest, allow=command == "allow")
        case "policy":
            policy_command(extension, rest)
        case "reset":
            conversation = extension.conversations.reset(rest or "main")
            _say(extension.shell, f"Session {conversation.name!r} starts over with the next prompt.")
        case "chat":
            from .chat import chat
            from .magics import unquoted

            # `-s NAME`, as %%agent has it, or the name alone.
            chat(unquoted(rest.removeprefix("-s").strip()) or None)._ipython_display_()
        case "sessions":
            _stored(extension, archived=rest == "all")
        case "resume":
            _resume(extension, rest)
        case "archive" | "delete" | "forget":
            done = getattr(stored, command)(extension.conversations, rest)
            _say(extension.shell, plain.clean(f"Session {done.name!r} ({done.id}): {_DONE[command]}."))
        case "rename":
            done, new = stored.rename(extension.conversations, rest)
            _say(extension.shell, plain.clean(f"Session {done.name!r} is called {new!r} now."))
        case "use":
            _use(extension, magics, rest)
        case "models":
            _table(extension.shell, ["model", "where", "ready"], [list(row) for row in offers()])
        case "price":
            price_command(extension.shell, rest)
        case "budget":
            budget_command(extension.shell, extension.conversations, rest)
        case "help":
            _say(extension.shell, f"{magics.agent.__doc__}\n{magics.agent_line.__doc__}")
        case _:
            raise ConfigError(f"%agent has no command {command!r}. `%agent help` lists them.")


def _sessions(extension: Any) -> list[list[Any]]:
    rows = []
    for conversation in extension.conversations:
        info = conversation.backend.retrieve_session()
        tokens_in, tokens_out = info["usage"]["input_tokens"], info["usage"]["output_tokens"]
        about = "~" if info["usage"].get("estimated") else ""
        model, backend = conversation.backend.model, conversation.backend.name
        status = Status(info["status"])
        rows.append(
            [conversation.name, status, model, backend, f"{about}{tokens_in:,}", f"{about}{tokens_out:,}"]
        )
    return rows


def _stored(extension: Any, *, archived: bool) -> None:
    from .session_rows import rows, table_html, table_text

    if not (found := rows(extension.conversations, archived=archived)):
        _say(extension.shell, NONE_YET)
        return
    data = {"text/plain": table_text(found), "text/html": table_html(found)}
    extension.shell.display_pub.publish(data)


def _running(extension: Any, name: str) -> list[Any]:
    """The turns under way, queued ones too, of one session or of all."""
    conversations = [extension.conversations.find(name)] if name else list(extension.conversations)
    return [run for c in conversations for run in c.runs if run.turn.ended is None]


_DONE = {
    "archive": "archived; it takes no more prompts",
    "delete": "deleted",
    "forget": "nothing is stored of it here any more",
}


def _resume(extension: Any, key: str) -> None:
    from .session_commands import resume

    conversation = resume(extension.conversations, key)
    about = f"{conversation.backend.model} · {conversation.backend.name}"
    if count := len(conversation.backend.session.messages):
        about += f" · {count} messages"
    name = conversation.name
    _say(extension.shell, plain.clean(f"Session {name!r} ({about}) goes on with %%agent -s {name}."))
    if missed := extension.conversations.attach(conversation):
        extension.show_missed(missed)


def _stop(extension: Any, name: str) -> None:
    running = _running(extension, name)
    for run in running:
        run.stop()
    names = ", ".join(dict.fromkeys(run.turn.session for run in running))
    _say(extension.shell, f"Stopped: {names}." if running else "No turn is under way.")


def _answer(extension: Any, name: str, *, allow: bool) -> None:
    waiting = [run for run in _running(extension, name) if run.turn.waiting]
    if len({run.turn.session for run in waiting}) > 1:
        names = ", ".join(dict.fromkeys(run.turn.session for run in waiting))
        raise ConfigError(f"Several sessions wait for you: {names}. Name the one that you mean.")
    lines = []
    for run in waiting:
        for call in run.turn.waiting:
            (run.approve if allow else run.deny)(call.id)
            said = "Allowed" if allow else "Denied"
            lines.append(f"{said}: {call.name} {plain.short(render.arguments(call), 80)}")
    _say(extension.shell, plain.clean("\n".join(lines) or "No tool waits for you."))


def _use(extension: Any, magics: Any, name: str) -> None:
    if not name:
        now = magics.model or magics.backend or " ".join(filter(None, backends.choice()))
        _say(extension.shell, f"The default is {now}. `%agent use BACKEND` or `%agent use MODEL` changes it.")
        return
    holds_backend = name in backends.names() or name in extension.shell.user_ns
    if holds_backend and name in extension.shell.user_ns:
        backends.as_backend(extension.shell.user_ns[name])
    magics.backend, magics.model = (name, "") if holds_backend else ("", name)
    extension.conversations.forget("main")
    _say(extension.shell, f"%%agent uses {name} from now on, in a new conversation.")


def _say(shell: Any, text: str) -> None:
    shell.display_pub.publish({"text/plain": text})


def _table(shell: Any, heads: list[str], rows: list[list[Any]]) -> None:
    if not rows:
        _say(shell, NONE_YET)
        return
    cells = [[str(value) for value in row] for row in rows]
    widths = [max(len(row[i]) for row in [heads, *cells]) for i in range(len(heads))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in [heads, *cells]
    ]
    head = "".join(f'<th style="text-align: left">{escape(name)}</th>' for name in heads)
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    html = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    shell.display_pub.publish({"text/plain": "\n".join(line.rstrip() for line in lines), "text/html": html})


def _cell(value: Any) -> str:
    inner = render.badge_html(value) if isinstance(value, Status) else escape(plain.clean(str(value)))
    return f'<td style="text-align: left">{inner}</td>'
