"""`%%agent` and `%agent`."""

from __future__ import annotations

import functools
import sys
from concurrent.futures import Future, wait
from types import MethodType
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand
from IPython.core.magic_arguments import argument, magic_arguments
from traitlets import Bool, Enum, Int, Unicode

from ..errors import ConfigError
from ..tools.policy import clear_policies
from .arguments import parsed
from .usage_magic import UsageMagics

if TYPE_CHECKING:
    from ..runtime.run import Run

_COMPLETED = ("%%agent", "%agent")
_OWN = "_agent_cell"
_OWN_CALL = f"get_ipython().run_cell_magic({_OWN!r},"


def can_await(shell: Any) -> bool:
    """Whether the shell's cells may wait without blocking their kernel."""
    return hasattr(shell, "kernel") and bool(shell.autoawait)


@magics_class
class AgentMagics(Magics):
    """Defaults of `%%agent`; set them with `%config AgentMagics.model = "ollama/llama3.2"`."""

    backend = Unicode("", help="Backend: hosted, local, embedded, a registered name, or a variable.").tag(
        config=True
    )
    model = Unicode("", help="Model, such as gpt-4o-mini, ollama/llama3.2, embedded.").tag(config=True)
    system = Unicode("", help="System prompt.").tag(config=True)
    max_turns = Int(0, help="Requests of one turn at most; 0 leaves it to the backend.").tag(config=True)
    keep_history = Bool(
        True,
        help="Keep turns for `%agent show`, and what was said with a local model, so that it goes on after a "
        "restart.",
    ).tag(config=True)
    live = Enum(
        ("auto", "widget", "plain"),
        "auto",
        help="What a cell shows while a turn runs: a live view, plain output, or auto: a live view in "
        "JupyterLab and Notebook 7, and wherever else a server started the kernel for a notebook.",
    ).tag(config=True)

    def __init__(self, shell: Any, extension: Extension) -> None:
        super().__init__(shell)
        self._extension = extension

    @magic_arguments()
    @argument("-b", "--backend", metavar="BACKEND", help="hosted, local, embedded, a name, or a variable")
    @argument("-m", "--model", metavar="MODEL", help="gpt-4o-mini, ollama/llama3.2, embedded, gguf:PATH, …")
    @argument(
        "-s", "--session", metavar="SESSION", help="the conversation's name; it goes on from cell to cell"
    )
    @argument("--new", action="store_true", help="start the conversation over")
    @argument("--system", metavar="TEXT", help="the system prompt, in quotes")
    @argument(
        "-t",
        "--tools",
        metavar="TOOL,…",
        help="functions of this notebook, or built-in tools such as run_python, that the agent may call",
    )
    @argument("-o", "--out", metavar="NAME", help="also keep the Turn in this variable")
    @argument("--max-turns", type=int, metavar="N", help="requests of this turn at most")
    @argument("--budget", metavar="USD", help="end this turn before it costs more")
    @argument("--bg", action="store_true", help="return at once; `await _` or `_.wait()` gives the Turn")
    @argument("--raw", action="store_true", help="send the text as it is, with every {brace}")
    @no_var_expand
    @cell_magic
    def agent(self, line: str, cell: str) -> Any:
        """Send the cell's text to an agent and show its answer, live, with status, tokens and cost.

        `{name}`, `{df.shape}`, `{rows[0]}` are filled from the notebook's variables; nothing in braces is
        run. The Turn is in `_`, in Out, and in the variable named with -o: `_.text`, `_.usage`, `_.cost`,
        `_.tools`; `{_.text}` in the next prompt is this answer.

        Without -b and -m: Anthropic's Managed Agents with ANTHROPIC_API_KEY, else OpenAI with
        OPENAI_API_KEY, else a running Ollama, else a small model embedded here. `%agent use …` sets
        another default. ■ (or Ctrl-C) stops the turn and keeps what there is. `%agent help` has more.
        """
        from .cell import run_magic

        return run_magic(self._extension, parsed(self.agent, line), cell)

    @no_var_expand
    @cell_magic(_OWN)
    def agent_cell(self, line: str, cell: str) -> Any:
        """What a cell becomes whose first line is `%%agent`: it waits without blocking the kernel where that
        can be, and has no value, since it shows the turn already. Everybody else calls `agent`."""
        from .cell import run_cell, run_magic

        arguments = parsed(self.agent, line)
        if can_await(self.shell):
            return run_cell(self._extension, arguments, cell)
        run_magic(self._extension, arguments, cell)
        return None

    @no_var_expand
    @line_magic("agent")
    def agent_line(self, line: str) -> None:
        """Look after sessions.

        %agent                    all sessions, with status, model and tokens
        %agent stop [SESSION]     stop the turns of one session, or of all
        %agent allow [SESSION]    let the tools run that wait for your yes
        %agent deny [SESSION]     refuse them
        %agent policy TOOL POLICY allow, ask or deny a tool from now on; alone, what is set
        %agent reset [SESSION]    start a conversation over; the next prompt begins a new one
        %agent show [SESSION] [N] an earlier turn again, as it was: the last one, the third (3), …
        %agent sessions           those of earlier kernels too; `sessions all`: archived ones as well
        %agent resume SESSION     go on with a stored session, by its name or id
        %agent rename OLD NEW     give a session another name
        %agent archive SESSION    keep it and end it, on its server too
        %agent delete SESSION     delete it, on its server too
        %agent forget [SESSION]   delete what is stored of it here
        %agent use BACKEND|MODEL  the default from now on, such as embedded, ollama/llama3.2, or a variable
        %agent models             what this machine offers
        %agent chat [-s SESSION]  a conversation to type into, in this cell
        %agent budget USD/SCOPE   stop at so much a day, session or notebook; `off` ends that
        %agent price MODEL …      --input USD --output USD per million tokens, or --free
        %agent help               this page and that of %%agent
        """
        from .commands.table import run_command

        run_command(self._extension, line)


class Extension:
    """What `%load_ext praison_nb` adds to a shell, and takes away again."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        manager = shell.magics_manager
        tables = [manager.registry, *manager.magics.values()]
        before = [dict(table) for table in tables]
        self.magics = AgentMagics(shell, self)
        self.usage = UsageMagics(shell)
        shell.register_magics(self.magics, self.usage)
        # In these tables of the shell's, under these names: ours, and what was there before or None.
        self._replaced = [
            (table, name, ours, old.get(name))
            for table, old in zip(tables, before, strict=True)
            for name, ours in table.items()
            if old.get(name) is not ours
        ]
        # Before IPython makes a call of the cell, which is no other than the same call in code, and after.
        shell.input_transformer_manager.line_transforms.insert(0, self._name_own_cell)
        shell.input_transformers_post.append(self._await_own_cell)
        self._begun: list[Future[None]] = []
        shell.events.register("post_run_cell", self._cell_has_ended)
        for key in _COMPLETED:
            shell.set_hook("complete_command", self._complete, str_key=key)

    @functools.cached_property
    def conversations(self) -> Any:
        """The kernel's conversations."""
        from .conversations.registry import Conversations

        return Conversations(lambda: self.magics.keep_history)

    def _name_own_cell(self, lines: list[str]) -> list[str]:
        """Have a cell that begins with our magic call it by the name that only such cells have. IPython's own
        words about a cell without a body, or about a magic of others', stay."""
        first, *body = lines or [""]
        is_ours = self.shell.magics_manager.magics["cell"].get("agent") == self.magics.agent
        if not (is_ours and body and first.startswith("%%") and first[2:].split(" ")[0].rstrip() == "agent"):
            return lines
        return [first.replace("agent", _OWN, 1), *body]

    def _await_own_cell(self, lines: list[str]) -> list[str]:
        """Await it, so that the kernel stays alive while the cell waits."""
        is_own = bool(lines) and lines[0].startswith(_OWN_CALL) and can_await(self.shell)
        return [f"await {lines[0]}", *lines[1:]] if is_own else lines

    def _complete(self, shell: Any, event: Any) -> list[str]:
        from .complete import complete

        return complete(self, shell, event)

    def remove(self) -> None:
        """Undo what __init__ did. What others have put in the place of ours meanwhile stays."""
        self.conversations.stop()
        self.shell.events.unregister("post_run_cell", self._cell_has_ended)
        clear_policies()
        for table, name, ours, old in self._replaced:
            if table.get(name) is not ours:
                continue
            if old is None:
                del table[name]
            else:
                table[name] = old
        for magics in (self.magics, self.usage):
            if magics in self.shell.configurables:
                self.shell.configurables.remove(magics)
        for transforms, ours in (
            (self.shell.input_transformer_manager.line_transforms, self._name_own_cell),
            (self.shell.input_transformers_post, self._await_own_cell),
        ):
            if ours in transforms:
                transforms.remove(ours)
        self._complete_no_more()

    def _complete_no_more(self) -> None:
        ours = MethodType(self._complete, self.shell)  # as set_hook made it
        completers = self.shell.strdispatchers["complete_command"].strs
        for key in _COMPLETED:
            if key in completers:
                chain = completers[key].chain
                chain[:] = [each for each in chain if each[1] != ours]
                if not chain:
                    del completers[key]

    def began(self) -> Future[None]:
        """A turn begins in a cell; whoever begins it says by the future when what stays of it is in place."""
        self._begun = [each for each in self._begun if not each.done()]
        shown: Future[None] = Future()
        self._begun.append(shown)
        return shown

    def _cell_has_ended(self, result: Any) -> None:
        """Where nobody reads on, a cell ends when all turns have that were begun, by threads too."""
        from ..runtime.loop import SLICE_SECONDS
        from ..runtime.main_thread import run_main_thread_queue
        from .cell import reads_on

        if not self._begun or reads_on(self.shell):
            return
        for shown in self._begun:
            while not shown.done():
                run_main_thread_queue()
                wait([shown], timeout=SLICE_SECONDS)

    def take_up(self, conversation: Any) -> tuple[Run, Future[None]] | None:
        """Take up again the turn that the last kernel did not see the end of, and show it before whatever the
        cell does else; the future is done when what stays of it is in the cell. None where there is none.
        Where nobody reads on, nobody is there to allow a tool."""
        from ..runtime.approvals import ask_by_input
        from .cell import reads_on

        asker = None if reads_on(self.shell) else ask_by_input
        run: Run | None = self.conversations.attach(conversation, asker)
        if run is None:
            return None
        if hasattr(self.shell, "kernel"):
            from .views.kernel_view import show

            shown = self.began()
            view = show(run, self.shell, self.magics.live, background=True)
            view.done.add_done_callback(lambda _: shown.set_result(None))
            return run, view.done
        sys.stdout.write(f"{run.wait()!r}\n")
        nothing: Future[None] = Future()
        nothing.set_result(None)
        return run, nothing

    def backend(self, name: str | None) -> Any:
        """What -b means by a name, as `find_backend` has it; None without one. Raises ConfigError."""
        from ..backends import names

        if not name:
            return None
        if (found := self.find_backend(name)) is None:
            raise ConfigError(f"No backend and no variable {name!r}. Backends are: {', '.join(names())}.")
        return found

    def find_backend(self, name: str) -> Any:
        """The backend that goes by a name: ours is meant by its own, however variables are called; any other
        is what a variable holds. None where the name is nobody's. Raises ConfigError for what is none."""
        from .. import backends

        if name in backends.names():
            return name
        if name in self.shell.user_ns:
            return backends.as_backend(self.shell.user_ns[name])
        return None
