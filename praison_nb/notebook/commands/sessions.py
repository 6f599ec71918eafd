"""The commands of `%agent` about sessions. Each gets the extension and the rest of the line. They raise
PraisonError."""

from __future__ import annotations

import functools

from ...backends.answer import raise_for
from ...errors import ConfigError
from ...render import review
from ...render.panel import Badge
from ...runtime import loop
from ...runtime.run import Run
from ...session import Status
from ...store import StoredSession
from ..arguments import unquoted
from ..conversations import stored_sessions
from ..extension import Extension, shows_late_output
from ..views.tables import Row, show, table

NONE_YET = "No sessions yet: ask something with %%agent."


HEADERS = ("session", "status", "model", "backend", "in", "out")


def overview(extension: Extension) -> None:
    """A table of this kernel's sessions."""
    if rows := overview_rows(extension):
        table(extension.shell, HEADERS, rows, numbers=("in", "out"))
    else:
        show(extension.shell, NONE_YET)


def overview_rows(extension: Extension) -> list[Row]:
    """A row of `HEADERS` for each session."""
    rows: list[Row] = []
    for conversation in extension.conversations:
        info = conversation.backend.retrieve_session()
        about = "~" if info["usage"].get("estimated") else ""
        tokens = [f"{about}{info['usage'][key]:,}" for key in ("input_tokens", "output_tokens")]
        model, backend = conversation.backend.model, conversation.backend.name
        rows.append([conversation.name, Badge(Status(info["status"])), model, backend, *tokens])
    return rows


def stop(extension: Extension, name: str) -> None:
    """Stop the turns of one session, or of all, and the maps."""
    running = running_turns(extension, name)
    maps = [] if name else [run for run, _ in extension.maps if not run.progress.ended]
    for stopping in [*(run.stop for run in running), *(run.stop for run in maps)]:
        stopping()
    names = ", ".join([*filter(None, [session_names(running)]), *(run.name for run in maps)])
    show(extension.shell, f"Stopped: {names}." if names else "No turn is under way.")


def running_turns(extension: Extension, name: str) -> list[Run]:
    """The turns under way, queued ones too, of one session or of all."""
    conversations = [extension.conversations.find(name)] if name else list(extension.conversations)
    return [run for c in conversations for run in c.runs if run.turn.ended is None]


def session_names(runs: list[Run]) -> str:
    """The names of the turns' sessions, for people."""
    return ", ".join(dict.fromkeys(review.one_line(run.turn.session) for run in runs))


def reset(extension: Extension, name: str) -> None:
    """Start a conversation over."""
    conversation = extension.conversations.find(name or "main")
    extension.conversations.start_over(conversation)
    show(extension.shell, f"Session {conversation.name!r} starts over with the next prompt.")


def compact(extension: Extension, rest: str) -> None:
    """Have a conversation summed up by its model. `-s NAME`, as %%agent has it, or the name alone."""
    from ..cell_turn import block, keep_result, start

    loop.refuse_to_wait()
    name = unquoted(rest.removeprefix("-s").strip()) or "main"
    conversations = extension.conversations
    conversation = conversations.named(name) or stored_sessions.resume(conversations, name)
    begin = functools.partial(conversations.compact, conversation)
    run, pending = start(extension, conversation, begin, background=False, blocks=True)
    with keep_result(extension.shell, run):
        block(extension, run, pending)


def chat(extension: Extension, rest: str) -> None:
    """Show a conversation to type into. `-s NAME`, as %%agent has it, or the name alone."""
    from ..widgets.chat.widget import open_chat

    open_chat(extension, unquoted(rest.removeprefix("-s").strip()) or None)._ipython_display_()


def all_sessions(extension: Extension, rest: str) -> None:
    """A table of all sessions, those of earlier kernels too, the last ones first; `all`: archived ones as
    well; other words: those that have these in their rows."""
    from ..widgets.sessions.rows import listing, table_html, table_text

    words = rest.split()
    archived = words[:1] == ["all"]
    found = listing(extension.conversations, archived=archived, text=" ".join(words[archived:]))
    if not found.rows:
        show(extension.shell, NONE_YET if found.is_empty else "No sessions match.")
        return
    html, text = table_html(found.rows), table_text(found.rows)
    if found.more:
        note = f"… and {found.more:,} more: `%agent sessions TEXT` shows those with the text."
        html, text = f"{html}<p>{note}</p>", f"{text}\n{note}"
    extension.shell.display_pub.publish({"text/plain": text, "text/html": html})


def resume(extension: Extension, key: str) -> None:
    """Go on with a stored session, without a name with this notebook's newest, and with its turn that an
    earlier kernel did not see the end of."""
    conversation = stored_sessions.resume(extension.conversations, key)
    about = f"{conversation.backend.model} · {conversation.backend.name}"
    if count := len(conversation.backend.session.messages):
        about += f" · {count} messages"
    name = conversation.name
    show(extension.shell, f"Session {name!r} ({about}) goes on with %%agent -s {name}.")
    if (reattached := extension.reattach(conversation)) and not shows_late_output(extension.shell):
        run, shown = reattached
        turn = run.wait()
        shown.result()
        raise_for(turn)


def archive(extension: Extension, key: str) -> None:
    """Keep a session and end it, on its server too."""
    stored = stored_sessions.archive(extension.conversations, _required(key, "archive"))
    _show_done(extension, stored, "archived; it takes no more prompts")


def delete(extension: Extension, key: str) -> None:
    """Delete a session, on its server too."""
    stored = stored_sessions.delete(extension.conversations, _required(key, "delete"))
    _show_done(extension, stored, "deleted")


def forget(extension: Extension, key: str) -> None:
    """Delete what is stored of a session here."""
    stored = stored_sessions.forget(extension.conversations, key or "main")
    _show_done(extension, stored, "nothing is stored of it here any more")


def rename(extension: Extension, rest: str) -> None:
    """`OLD NEW`: give a session another name."""
    old, _, new = rest.partition(" ")
    new = new.strip()
    if not new or len(new.split()) > 1:
        raise ConfigError("Say `%agent rename OLD NEW`; a name is one word.")
    stored, problem = stored_sessions.rename(extension.conversations, old, new)
    but = f" Its server still has the old title: {problem}" if problem else ""
    show(extension.shell, f"Session {stored.name!r} is called {new!r} now.{but}")


def _required(key: str, command: str) -> str:
    if not key:
        raise ConfigError(
            f"Say which: `%agent {command} SESSION`, by its name or id. `%agent sessions` lists them."
        )
    return key


def _show_done(extension: Extension, stored: StoredSession, outcome: str) -> None:
    about = f" ({stored.id})" if stored.id else ""
    show(extension.shell, f"Session {stored.name!r}{about}: {outcome}.")
