"""What `%agent` does: look after sessions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ... import backends
from ...backends.catalog import offers
from ...errors import ConfigError
from ...render import review
from ...render.text import short_arguments
from ...runtime.approvals import digest_of
from ...session import Status
from ...text import shorten
from ..arguments import unquoted
from ..views.tables import Badge, show, table
from .budgets import budget_command, price_command
from .tools import policy_command

CHANGED = "Say it again to allow it."
UNSEEN = "Not allowed yet: this is all of it. Say `%agent allow` once more."
NONE_YET = "No sessions yet: ask something with %%agent."


def run_command(extension: Any, line: str) -> None:
    """Do what the line of `%agent` says. Raises PraisonError."""
    command, _, rest = line.strip().partition(" ")
    if not command:
        _overview(extension)
    elif command in COMMANDS:
        COMMANDS[command](extension, rest.strip())
    else:
        raise ConfigError(
            f"%agent has no command {command!r:.40}. It has {', '.join(COMMANDS)}: see `%agent help`."
        )


def _overview(extension: Any) -> None:
    rows = []
    for conversation in extension.conversations:
        info = conversation.backend.retrieve_session()
        about = "~" if info["usage"].get("estimated") else ""
        tokens = [f"{about}{info['usage'][key]:,}" for key in ("input_tokens", "output_tokens")]
        model, backend = conversation.backend.model, conversation.backend.name
        rows.append([conversation.name, Badge(Status(info["status"])), model, backend, *tokens])
    if not rows:
        show(extension.shell, NONE_YET)
        return
    heads = ["session", "status", "model", "backend", "in", "out"]
    table(extension.shell, heads, rows, numbers=("in", "out"))


def _stop(extension: Any, name: str) -> None:
    running = _running(extension, name)
    for run in running:
        run.stop()
    names = _names(running)
    show(extension.shell, f"Stopped: {names}." if running else "No turn is under way.")


def _allow(extension: Any, name: str) -> None:
    _answer(extension, name, allow=True)


def _deny(extension: Any, name: str) -> None:
    _answer(extension, name, allow=False)


def _answer(extension: Any, name: str, *, allow: bool) -> None:
    waiting = [run for run in _running(extension, name) if run.turn.waiting]
    if len({run.turn.session for run in waiting}) > 1:
        names = _names(waiting)
        raise ConfigError(f"Several sessions wait for you: {names}. Name the one that you mean.")
    lines, unseen = [], []
    for run in waiting:
        for call in run.turn.waiting:
            question = review.question(call.name, call.arguments)
            if allow and run.has_changed(call.id):
                lines.append(f"The call has changed since it was shown:\n{question}\n{CHANGED}")
                unseen.append((run, call))
                continue
            if allow and not run.was_shown(call) and not review.is_short(call.name, call.arguments):
                lines.append(f"{question}\n{UNSEEN}")
                unseen.append((run, call))
                continue
            if allow:
                run.approve(call.id, digest_of(call))
            else:
                run.deny(call.id)
            said = "Allowed" if allow else "Denied"
            arguments = review.one_line(shorten(short_arguments(call), 80))
            counts = review.arguments(call.arguments).counts
            lines.append(f"{said}: {review.one_line(call.name)} {arguments} ({counts})")
    show(extension.shell, "\n".join(lines) or "No tool waits for you.")
    for run, call in unseen:
        run.note_shown(call)


def _running(extension: Any, name: str) -> list[Any]:
    """The turns under way, queued ones too, of one session or of all."""
    conversations = [extension.conversations.find(name)] if name else list(extension.conversations)
    return [run for c in conversations for run in c.runs if run.turn.ended is None]


def _names(runs: list[Any]) -> str:
    return ", ".join(dict.fromkeys(review.one_line(run.turn.session) for run in runs))


def _reset(extension: Any, name: str) -> None:
    conversation = extension.conversations.reset(name or "main")
    show(extension.shell, f"Session {conversation.name!r} starts over with the next prompt.")


def _chat(extension: Any, rest: str) -> None:
    from ..widgets.chat.widget import chat

    # `-s NAME`, as %%agent has it, or the name alone.
    chat(unquoted(rest.removeprefix("-s").strip()) or None)._ipython_display_()


def _stored(extension: Any, rest: str) -> None:
    from ..widgets.sessions.rows import rows, table_html, table_text

    if not (found := rows(extension.conversations, archived=rest == "all")):
        show(extension.shell, NONE_YET)
        return
    data = {"text/plain": table_text(found), "text/html": table_html(found)}
    extension.shell.display_pub.publish(data)


def _resume(extension: Any, key: str) -> None:
    from ...backends.base import raise_for
    from ..cell import reads_on
    from .sessions import resume

    conversation = resume(extension.conversations, key)
    about = f"{conversation.backend.model} · {conversation.backend.name}"
    if count := len(conversation.backend.session.messages):
        about += f" · {count} messages"
    name = conversation.name
    show(extension.shell, f"Session {name!r} ({about}) goes on with %%agent -s {name}.")
    if (missed := extension.take_up(conversation)) and not reads_on(extension.shell):
        run, shown = missed
        turn = run.wait()
        shown.result()
        raise_for(turn)


def _show(extension: Any, rest: str) -> None:
    from .show import shown

    found = shown(extension.conversations, rest, keeps_history=extension.magics.keep_history)
    extension.shell.display_pub.publish(found.bundle())
    if found.turn is not None:
        # As after the turn's own cell.
        extension.shell.displayhook.update_user_ns(found.turn)


def _archive(extension: Any, key: str) -> None:
    from .sessions import archive

    _done(extension, archive(extension.conversations, key), "archived; it takes no more prompts")


def _delete(extension: Any, key: str) -> None:
    from .sessions import delete

    _done(extension, delete(extension.conversations, key), "deleted")


def _forget(extension: Any, key: str) -> None:
    from .sessions import forget

    _done(extension, forget(extension.conversations, key), "nothing is stored of it here any more")


def _done(extension: Any, stored: Any, said: str) -> None:
    about = f" ({stored.id})" if stored.id else ""
    show(extension.shell, f"Session {stored.name!r}{about}: {said}.")


def _rename(extension: Any, rest: str) -> None:
    from .sessions import rename

    done, new = rename(extension.conversations, rest)
    show(extension.shell, f"Session {done.name!r} is called {new!r} now.")


def _use(extension: Any, name: str) -> None:
    magics = extension.magics
    if not name:
        now = magics.model or magics.backend or " ".join(filter(None, backends.choice()))
        show(extension.shell, f"The default is {now}. `%agent use BACKEND` or `%agent use MODEL` changes it.")
        return
    is_backend = extension.find_backend(name) is not None
    magics.backend, magics.model = (name, "") if is_backend else ("", name)
    extension.conversations.forget("main")
    show(extension.shell, f"%%agent uses {name} from now on, in a new conversation.")


def _models(extension: Any, rest: str) -> None:
    table(extension.shell, ["model", "where", "ready"], offers(), numbers=())


def _price(extension: Any, rest: str) -> None:
    price_command(extension.shell, rest)


def _budget(extension: Any, rest: str) -> None:
    budget_command(extension.shell, extension.conversations, rest)


def _help(extension: Any, rest: str) -> None:
    magics = extension.magics
    show(extension.shell, f"{magics.agent.__doc__}\n{magics.agent_line.__doc__}")


COMMANDS: dict[str, Callable[[Any, str], None]] = {
    "stop": _stop,
    "allow": _allow,
    "deny": _deny,
    "policy": policy_command,
    "reset": _reset,
    "show": _show,
    "sessions": _stored,
    "resume": _resume,
    "rename": _rename,
    "archive": _archive,
    "delete": _delete,
    "forget": _forget,
    "use": _use,
    "models": _models,
    "chat": _chat,
    "budget": _budget,
    "price": _price,
    "help": _help,
}
"""Each gets the extension and what stands behind its name. Completion offers these; the docstring of `%agent`
is their help page and has them in this order."""
