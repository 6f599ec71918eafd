"""What `%load_ext praison_nb` adds to a shell: commands, cells and widgets work with it."""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import ExitStack
from types import MethodType
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import ConfigError
from ..tools.policy import clear_policies
from .own_cells import OwnCells

if TYPE_CHECKING:
    from ..rows.mapping import MapRun
    from ..runtime.run import Run
    from .conversations.conversation import Conversation
    from .conversations.registry import Conversations
    from .views.output import Output
    from .views.pages import Pages
    from .views.shown import Subject

_COMPLETED = ("%%agent", "%agent")


class AgentMagicsProtocol(Protocol):
    """`%%agent` and `%agent` with their defaults, which `%config AgentMagics.…` sets. `complete` is IPython's
    hook of that name, the last three are for `Pages`."""

    backend: str
    model: str
    system: str
    max_turns: int
    keep_history: bool
    live: str
    agent: Callable[..., Any]
    agent_line: Callable[..., Any]
    complete: Callable[[Any, Any], list[str]]
    find_kept: Callable[[str], tuple[dict[str, str], bool] | None]
    status: Callable[[], str]
    table: Callable[[], dict[str, Any]]


def shows_late_output(shell: Any) -> bool:
    """Whether outputs of the cell that runs now reach it after its end. `%%capture` takes what comes until
    then, and so does who reads no further."""
    from .views.captured import is_captured

    return _reads_on(shell) and not is_captured(shell)


def _reads_on(shell: Any) -> bool:
    """Whether the front end reads on when a cell has ended. nbclient, and with it nbconvert, papermill and
    `jupyter execute`, does not, and after the last cell ends the kernel. It is known by its answering no
    `input()`: a front end that does has a user, who looks on."""
    if not hasattr(shell, "kernel"):
        return True
    request = shell.kernel.get_parent().get("content", {})
    return bool(request.get("allow_stdin", True))


class Extension:
    """The magics in a shell, and the kernel's conversations. `add` changes the shell, `remove` changes it
    back."""

    def __init__(self, shell: Any, magics: AgentMagicsProtocol) -> None:
        self.shell = shell
        self.magics = magics
        self._added = ExitStack()
        self._awaited: list[Future[None]] = []
        self._has_turns = threading.Event()
        self.maps: list[tuple[MapRun, Future[None]]] = []
        """Those that are shown, and a future that is done when what stays of each is in place."""

    @functools.cached_property
    def conversations(self) -> Conversations:
        """The kernel's conversations."""
        from .conversations.registry import Conversations

        return Conversations(lambda: self.magics.keep_history)

    @functools.cached_property
    def pages(self) -> Pages:
        """The kernel's pages that have the extension."""
        from .views.pages import Pages

        return Pages(self.magics.find_kept, self.magics.status, self.magics.table)

    # In the shell

    def add(self, *magics: Any) -> None:
        """Register the magics, and have the shell await cells with `%%agent` and complete its options."""
        shell, undo = self.shell, self._added.callback
        self._add_magics(*magics)
        # Before IPython makes a call of the cell, which is no other than the same call in code, and after.
        own_cells = OwnCells(shell, self.magics.agent)
        transforms = shell.input_transformer_manager.line_transforms
        transforms.insert(0, own_cells.name_magic)
        undo(_discard, transforms, own_cells.name_magic)
        shell.input_transformers_post.append(own_cells.await_magic)
        undo(_discard, shell.input_transformers_post, own_cells.await_magic)
        for key in _COMPLETED:
            shell.set_hook("complete_command", self.magics.complete, str_key=key)
            undo(self._complete_no_more, key)
        shell.events.register("post_run_cell", self._cell_has_ended)
        undo(shell.events.unregister, "post_run_cell", self._cell_has_ended)
        if hasattr(shell, "kernel"):
            shell.events.register("post_run_cell", self._preload)
            undo(_discard, shell.events.callbacks["post_run_cell"], self._preload)
        undo(clear_policies)
        if hasattr(shell, "kernel"):
            self.pages.register()
            undo(self.pages.unregister)
        undo(lambda: self.conversations.stop())

    def remove(self) -> None:
        """Undo what `add` did; what others have replaced since then stays."""
        self._added.close()

    def _add_magics(self, *magics: Any) -> None:
        manager = self.shell.magics_manager
        tables = [manager.registry, *manager.magics.values()]
        before = [dict(table) for table in tables]
        self.shell.register_magics(*magics)
        for each in magics:
            self._added.callback(_discard, self.shell.configurables, each)
        for table, old in zip(tables, before, strict=True):
            for name, added in table.items():
                if old.get(name) is not added:
                    self._added.callback(_put_back, table, name, added, old.get(name))

    def _complete_no_more(self, key: str) -> None:
        hook = MethodType(self.magics.complete, self.shell)  # as set_hook made it
        completers = self.shell.strdispatchers["complete_command"].strs
        if key in completers:
            chain = completers[key].chain
            chain[:] = [each for each in chain if each[1] != hook]
            if not chain:
                del completers[key]

    # In a cell

    def new_shown_future(self) -> Future[None]:
        """A future for a turn that begins in a cell, to be set when its static output is in place."""
        self._awaited = [each for each in self._awaited if not each.done()]
        self._has_turns.set()
        shown: Future[None] = Future()
        self._awaited.append(shown)
        return shown

    def takes_clicks(self) -> bool:
        """Whether the user can answer in the page while a cell runs that awaits its turn."""
        from .views import choose

        return choose.takes_clicks(self.shell, self.magics.live, self.pages)

    def view_maker(
        self, done: Future[None], *, background: bool, takes_clicks: bool, in_columns: bool = False
    ) -> Callable[[Any], Output] | None:
        """What makes the view of a turn in the cell that runs now, for `Backend.begin(view=…)`, or with
        `in_columns` of a Comparison; the other arguments are those of `output_of`. None in a terminal, which
        has no views, where `done` is done at once."""
        if not hasattr(self.shell, "kernel"):
            done.set_result(None)
            return None

        def view(run: Any) -> Output:
            if in_columns:
                from .views.columns import ComparisonSubject

                subject: Subject = ComparisonSubject(run)
            else:
                from .views.shown import TurnSubject

                subject = TurnSubject(run)
            return self.output_of(subject, done, background=background, takes_clicks=takes_clicks)

        return view

    def output_of(
        self, subject: Subject, done: Future[None], *, background: bool, takes_clicks: bool
    ) -> Output:
        """The view of `subject` in the cell that runs now, which ends while it goes on (`background`), or
        waits for it. `done` is done when it is over and the static output is in place. Unless outputs are
        shown that come after a cell's end, that is when all of it is known."""
        from .views.choose import output_type

        return output_type(self.shell, self.magics.live, self.pages)(
            subject,
            self.shell,
            background=background,
            takes_clicks=takes_clicks,
            done=done,
            is_late=shows_late_output(self.shell),
        )

    def _preload(self, result: Any) -> None:
        """Once, when the cell has ended that loads the extension: a user writes the next one then."""
        from .preload import preload

        self.shell.events.unregister("post_run_cell", self._preload)
        preload(self.magics.backend, self.magics.model, self._has_turns)

    def _cell_has_ended(self, result: Any) -> None:
        """A cell ends when what stays of its maps that are over is in place; where no late output is shown,
        when that of all turns and maps is that were begun, by threads too."""
        from ..runtime.loop import SLICE_SECONDS
        from ..runtime.main_thread import run_main_thread_queue

        awaited = [shown for run, shown in self.maps if run.progress.ended]
        if self._awaited and not _reads_on(self.shell):
            awaited += self._awaited
        for shown in awaited:
            while not shown.done():
                run_main_thread_queue()
                wait([shown], timeout=SLICE_SECONDS)
        self.maps = [each for each in self.maps if not each[1].done()]

    def reattach(self, conversation: Conversation) -> tuple[Run, Future[None]] | None:
        """Go on with the turn that the last kernel did not see the end of, and show it before all else in the
        cell; the future is done when its static output is in place. None where there is no such turn. Where
        no late output is shown, nobody is there to allow a tool."""
        from ..runtime.approvals import ask_by_input

        asker = None if shows_late_output(self.shell) else ask_by_input
        done = self.new_shown_future()
        view = self.view_maker(done, background=True, takes_clicks=True)
        run = None
        try:
            run = self.conversations.attach(conversation, asker=asker, view=view)
        finally:
            if run is None:
                done.cancel()
        if run is not None and view is None:
            sys.stdout.write(f"{run.wait()!r}\n")
        return None if run is None else (run, done)

    # Its backends

    def backend(self, name: str | None) -> Any:
        """What -b means by a name, as `find_backend` has it; None without one. Raises ConfigError."""
        from ..backends import names

        if not name:
            return None
        if (backend := self.find_backend(name)) is None:
            raise ConfigError(f"No backend and no variable {name!r}. Backends are: {', '.join(names())}.")
        return backend

    def find_backend(self, name: str) -> Any:
        """The backend of this name: a registered one before a variable that holds one; None for neither.
        Raises ConfigError for a variable that holds something else."""
        from .. import backends

        if name in backends.names():
            return name
        if name in self.shell.user_ns:
            return backends.as_backend(self.shell.user_ns[name])
        return None


def _discard(values: list[Any], value: Any) -> None:
    if value in values:
        values.remove(value)


def _put_back(table: dict[str, Any], name: str, added: Any, old: Any) -> None:
    if table.get(name) is added:
        del table[name]
        if old is not None:
            table[name] = old
