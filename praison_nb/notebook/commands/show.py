"""`%agent show`: an earlier turn again, as it was."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from ... import store
from ...errors import ConfigError
from ...history import User, from_json
from ...metering.origin import current_origin
from ...render import formulas
from ...render.html import MUTED, turn_html
from ...render.markdown import NO_FORMULAS
from ...render.text import turn_text
from ...store import StoredSession, StoredTurn, StoreError
from ...text import shorten, strip_control_chars
from ...turn import Turn
from ..arguments import split_words
from ..conversations.registry import Conversations
from ..conversations.restore import is_on_server
from ..extension import Extension

USAGE = (
    "Say `%agent show [SESSION] [N]`: a session by its name or id; 3 is its third turn, -1 its last one, as "
    "without a number."
)
CUT_OFF = "unfinished: its kernel ended"
MESSAGES_ONLY = "only its messages were kept"


@dataclass(frozen=True, slots=True)
class _Entry:
    """A turn of a session: in the store, in this kernel, or both."""

    kept: StoredTurn | None = None
    live: Turn | None = None

    @property
    def started(self) -> float:
        return self.live.started if self.live else self.kept.started if self.kept else 0.0


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown of a turn: one line that says which it is, and the turn's own HTML and text. `turn` is
    None where only its messages were kept."""

    line: str
    html: str
    text: str
    turn: Turn | None

    def bundle(self) -> dict[str, str]:
        """Line and turn as one output."""
        line = strip_control_chars(self.line)
        style, head = f"font-size: 12px; color: {MUTED}", formulas.escape(line)
        return {
            "text/html": f'<div class="{NO_FORMULAS}" style="{style}">{head}</div>{self.html}',
            "text/plain": f"{line}\n\n{self.text}",
        }


def show_turn(extension: Extension, rest: str) -> None:
    """`%agent show [SESSION] [N]`."""
    shown = find_turn(extension.conversations, rest, keeps_history=extension.magics.keep_history)
    extension.shell.display_pub.publish(shown.bundle())
    if shown.turn is not None:
        # As after the turn's own cell.
        extension.shell.displayhook.update_user_ns(shown.turn)


def find_turn(conversations: Conversations, line: str, *, keeps_history: bool) -> Shown:
    """The turn that `[SESSION] [N]` means. Nothing is begun, and nobody is asked but the store. Raises
    ConfigError, StoreError."""
    key, number = _parsed(line)
    session, entries = _session(conversations, key, keeps_history)
    count = len(entries)
    place = number - 1 if number > 0 else count + number
    if not 0 <= place < count:
        turns = "1 turn: say 1" if count == 1 else f"{count} turns: say 1 to {count}"
        raise ConfigError(f"Session {session.name!r} has {turns}, or -1 for the last one.")
    entry = entries[place]
    which = [session.name, f"turn {place + 1} of {count}"]
    if entry.live is None and entry.kept is not None and not entry.kept.is_whole:
        return _messages(which, entry.kept)
    turn, remark = _turn(entry, session, keeps_history)
    which += [f"{datetime.fromtimestamp(turn.started):%Y-%m-%d %H:%M}", _quoted(turn.prompt), remark]
    return Shown(" · ".join(filter(None, which)), turn_html(turn), turn_text(turn), turn)


def _parsed(line: str) -> tuple[str, int]:
    """Session and number of the line, "" and the last one where they are not given."""
    given = split_words(line)
    number = -1
    # A session may be called 7 too: then both are given.
    if given and re.fullmatch(r"[+-]?[0-9]{1,9}", given[-1]):
        number = int(given.pop())
    if len(given) > 1 or number == 0:
        raise ConfigError(USAGE)
    return (given[0] if given else ""), number


def _session(
    conversations: Conversations, key: str, keeps_history: bool
) -> tuple[StoredSession, list[_Entry]]:
    """The session that is meant, and its turns, oldest first. Raises ConfigError, StoreError."""
    opened, notebook, problem = store.current(), current_origin().notebook, None
    opened.flush()
    try:
        known = opened.all()
    except StoreError as error:
        # What this kernel has is shown all the same.
        known, problem = [], error
    names = [key] if key else _names(conversations, known, notebook)
    candidates = [each for name in names for each in _candidates(conversations, name, known, notebook)]
    for session in candidates:
        if entries := _entries(conversations, session, is_stored=problem is None):
            return session, entries
    if problem is not None:
        raise problem
    if has_begun := [each for each in candidates if each.id]:
        raise ConfigError(_nothing_kept(has_begun[0], keeps_history))
    if any(each.name == key for each in known):
        raise ConfigError(
            f"This notebook has no session {key!r}. One of another notebook is shown by its id, which "
            "`%agent sessions` shows."
        )
    if key:
        raise ConfigError(f"No turn of a session {key!r} is kept. `%agent sessions` lists the sessions.")
    raise ConfigError(
        "Nothing to show yet: ask something with %%agent. `%agent sessions` lists the sessions of other "
        "notebooks, and `%agent show ID` shows their turns."
    )


def _names(conversations: Conversations, known: list[StoredSession], notebook: str) -> list[str]:
    """The sessions of this notebook: main, then the one used last first."""
    live = [(each.run.turn.started, each.name) for each in conversations if each.run is not None]
    stored = [(each.last_used, each.name) for each in known if each.notebook == notebook]
    return list(dict.fromkeys(["main", *(name for _, name in sorted(live + stored, reverse=True))]))


def _candidates(
    conversations: Conversations, key: str, known: list[StoredSession], notebook: str
) -> Iterator[StoredSession]:
    """What a session's name or id can mean, the likeliest first."""
    yield from [each for each in known if each.id == key][:1]
    for live in conversations:
        if live.name == key:
            session_id, backend = live.backend.session.id, live.backend.name
            yield StoredSession(id=session_id, name=key, notebook=notebook, backend=backend)
    in_notebook = [each for each in known if each.name == key and each.notebook == notebook]
    yield from sorted(in_notebook, key=lambda each: not each.is_current)
    # Those that failed before there was a session.
    yield StoredSession(id="", name=key, notebook=notebook)


def _entries(conversations: Conversations, session: StoredSession, *, is_stored: bool) -> list[_Entry]:
    """The session's turns, in the store and in this kernel, oldest first."""
    kept: list[StoredTurn] = []
    if is_stored:
        kept = store.list_turns(store.current().path, session.id, session.notebook, session.name)
    entries = {each.id: _Entry(each) for each in kept}
    for conversation in conversations:
        is_its_own = conversation.backend.session.id == session.id
        for turn in (run.turn for run in conversation.runs):
            if (turn.session_id == session.id and session.id) or (
                # It failed before there was a session.
                not turn.session_id and is_its_own and conversation.name == session.name
            ):
                entries[turn.id] = replace(entries.get(turn.id, _Entry()), live=turn)
    return sorted(entries.values(), key=lambda entry: entry.started)


def _turn(entry: _Entry, session: StoredSession, keeps_history: bool) -> tuple[Turn, str]:
    """The turn as it is now or was last, and what there is to say about that."""
    if entry.live is not None:
        if entry.kept is not None:
            return entry.live, ""
        why = store.current().problem or ("" if keeps_history else "AgentMagics.keep_history is off")
        return entry.live, f"not kept, and gone with this kernel{': ' if why else ''}{why}"
    assert entry.kept is not None
    turn = store.read_turn(store.current().path, entry.kept.id)
    if turn.ended is not None:
        return turn, ""
    if store.is_alive(entry.kept.process):
        seen = f"{datetime.fromtimestamp(entry.kept.seen):%H:%M:%S}"
        return turn, f"running in another kernel, as it was at {seen}"
    goes_on = is_on_server(session) and session.id
    more = f"; `%agent resume {session.id}` takes it up again" if goes_on else ""
    return _cut_off(turn, entry.kept), CUT_OFF + more


def _cut_off(turn: Turn, kept: StoredTurn) -> Turn:
    detail = f"{CUT_OFF}; kept as it was"
    return replace(turn, ended=kept.seen, stop_reason="cut_off", detail=detail, activity="")


def find_kept(conversations: Conversations, turn_id: str) -> tuple[dict[str, str], bool] | None:
    """What stays of a turn of this kernel or another, whose output a page has that did not see its end: HTML
    and text, and whether they are whole. None where it is not kept, or goes on there."""
    here = (run.turn for each in conversations for run in each.runs if run.turn.id == turn_id)
    if (turn := next(here, None)) is not None and turn.ended is not None:
        return {"text/html": turn_html(turn), "text/plain": turn_text(turn)}, True
    opened = store.current()
    opened.flush()
    try:
        kept = store.find_turn(opened.path, turn_id)
        if kept is None:
            return None
        turn = store.read_turn(opened.path, turn_id)
    except StoreError:
        return None
    if not (is_whole := turn.ended is not None):
        if store.is_alive(kept.process):
            return None
        turn = _cut_off(turn, kept)
    return {"text/html": turn_html(turn), "text/plain": turn_text(turn)}, is_whole


def _messages(which: list[str], kept: StoredTurn) -> Shown:
    """A turn of which an older version kept the messages alone."""
    from ...render.items import entries
    from ...render.transcript import joined

    rows = store.read_turn_messages(store.current().path, kept.id)
    history = [item for row in rows for item in from_json(row)]
    prompt = next((item.text for item in history if isinstance(item, User)), "")
    which += [_quoted(prompt), MESSAGES_ONLY]
    html, text = joined(entries(history))
    return Shown(" · ".join(filter(None, which)), html, text, None)


def _nothing_kept(session: StoredSession, keeps_history: bool) -> str:
    what = f"No turn of session {session.name!r} is kept"
    if not keeps_history:
        how = "`%config AgentMagics.keep_history = True` keeps those to come"
        return f"{what}: AgentMagics.keep_history is off. {how}."
    more = " Its server has them: `%agent resume`, then `%agent chat`." if is_on_server(session) else ""
    return f"{what}: AgentMagics.keep_history was off, or an older praison_nb ran it.{more}"


def _quoted(prompt: str) -> str:
    return f"“{shorten(prompt, 60)}”" if prompt.strip() else ""
