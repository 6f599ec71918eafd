"""`%agent hosted`: what was made on servers of hosted agents, and its clean-up."""

from __future__ import annotations

from typing import Any

from ... import backends, store
from ...errors import ConfigError
from ...store import StoreError
from ..extension import Extension
from ..views.tables import Row, show, table

FOR_GOOD = (
    "Archiving is for good: an archived session takes no more prompts, an archived agent or environment no "
    "new session."
)
NOTHING = "Nothing that was made from here is left on the server."


def hosted(extension: Extension, rest: str) -> None:
    """`%agent hosted [clean [all] [yes]]`. Raises PraisonError."""
    words = rest.split()
    if words and (words[0] != "clean" or not {*words[1:]} <= {"all", "yes"}):
        raise ConfigError(
            "Say `%agent hosted` for a list, `%agent hosted clean` to archive what is unused, "
            "`%agent hosted clean all` for all of it."
        )
    if words:
        _clean(extension, all_of_it="all" in words, is_confirmed="yes" in words)
    elif made := _made(extension, _in_use(extension)):
        _show(extension, [each for _, each in made], ["`%agent hosted clean` archives what is unused."])
    else:
        show(extension.shell, NOTHING)


def _clean(extension: Extension, *, all_of_it: bool, is_confirmed: bool) -> None:
    def found() -> list[tuple[Any, Any]]:
        made = _made(extension, () if all_of_it else _in_use(extension))
        return [each for each in made if all_of_it or each[1].is_unused]

    if not (made := found()):
        show(extension.shell, "Nothing is unused.")
        return
    if not is_confirmed:
        _show(extension, [each for _, each in made], [FOR_GOOD])
        if not _says_yes(f"Archive these {len(made)} for good? [y/N] "):
            show(extension.shell, "Nothing was archived.")
            return
        # It may have come into use while the question stood.
        still = {each.id for _, each in found()}
        made = [each for each in made if each[1].id in still]
    problems = []
    for backend in dict.fromkeys(backend for backend, _ in made):
        problems += backend.end_made([each for of, each in made if of is backend])
    done = f"{len(made) - len(problems)} archived."
    show(extension.shell, "\n".join([done, *(f"Not archived: {line}" for line in problems)]))


def _made(extension: Extension, in_use: Any) -> list[tuple[Any, Any]]:
    """What was made, and the backend that can speak of it: those of this kernel, else the usual one."""
    live: list[Any] = [each.backend for each in extension.conversations]
    asked = [each for each in live if each.keeps_sessions_on_server] or [backends.create("hosted")]
    return list(
        {each.id: (backend, each) for backend in asked for each in backend.list_made(in_use)}.values()
    )


def _in_use(extension: Extension) -> set[str]:
    """The sessions that go on, here or in another notebook. Raises StoreError."""
    opened = store.current()
    if not opened.flush():
        raise StoreError(opened.problem)
    stored = {each.id for each in opened.all() if each.is_current and not each.is_archived}
    return stored | {each.backend.session.id for each in extension.conversations}


def _show(extension: Extension, made: list[Any], notes: list[str]) -> None:
    rows: list[Row] = []
    for each in made:
        sessions = "" if each.kind == "session" else str(each.sessions)
        use = "unused" if each.is_unused else "in use"
        rows.append([each.kind, each.name, each.id, each.created[:16].replace("T", " "), sessions, use])
    headers = ["", "name", "id", "created (UTC)", "sessions", "use"]
    table(extension.shell, headers, rows, notes, numbers=("sessions",))


def _says_yes(question: str) -> bool:
    try:
        return input(question).strip().lower() in ("y", "yes")
    except (EOFError, NotImplementedError, OSError):
        raise ConfigError(
            "Nobody can be asked here: `%agent hosted clean yes` archives it, once you have seen the list."
        ) from None
