"""`%agent files`: what a hosted agent wrote."""

from __future__ import annotations

from ...content import one_line_name, size_text
from ...errors import ConfigError
from ..arguments import split_words
from ..conversations import stored_sessions
from ..extension import Extension
from ..views.tables import show, table


def files(extension: Extension, rest: str) -> None:
    """`[-s NAME] [FILE]`: a table of the files of a session, by default "main" or the only hosted one; with
    FILE, its name or id, that one is saved in the notebook's folder."""
    words, name = split_words(rest), ""
    if words[:1] == ["-s"]:
        if len(words) < 2:
            raise ConfigError("Say `%agent files -s NAME`, with a session's name.")
        name, words = words[1], words[2:]
    if len(words) > 1:
        raise ConfigError("Say `%agent files [-s NAME] [FILE]`, with one file, in quotes if it has blanks.")
    conversations = extension.conversations
    name = name or _only_one(extension)
    backend = (conversations.named(name) or stored_sessions.resume(conversations, name)).backend
    if words:
        saved = backend.download(words[0])
        show(extension.shell, f"Saved {saved} ({size_text(saved.stat().st_size)}).")
    elif found := backend.files():
        rows = [[one_line_name(each.name), size_text(each.size), each.id] for each in found]
        table(extension.shell, ["file", "size", "id"], rows, numbers=("size",))
    else:
        show(extension.shell, f"The agent of session {name!r} wrote no files.")


def _only_one(extension: Extension) -> str:
    """The name of the session that is meant where none is named."""
    hosted = [each.name for each in extension.conversations if each.backend.keeps_sessions_on_server]
    if "main" in hosted or not hosted:
        return "main"
    if len(hosted) > 1:
        raise ConfigError(f"Say which session with -s NAME. Hosted are: {', '.join(hosted)}.")
    return hosted[0]
