"""`%%agent` and `%agent`."""

from __future__ import annotations

import asyncio
import functools
import sys
from types import MethodType
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, cell_magic, line_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring
from traitlets import Bool, Enum, Int, Unicode

from .. import plain, tools
from ..errors import ConfigError
from .usage_magic import UsageMagics

if TYPE_CHECKING:
    from ..run import Run
    from ..turn import Turn

_CELL = "get_ipython().run_cell_magic('agent',"
_COMPLETED = ("%%agent", "%agent")


class TurnInterrupted(KeyboardInterrupt):
    """The user interrupted the cell: later cells of a Run All must not run."""

    def _render_traceback_(self) -> list[str]:
        return ["KeyboardInterrupt: the turn was stopped; its text and usage so far are kept"]


def await_our_cells(lines: list[str]) -> list[str]:
    """Our cell magic is a coroutine, so that the kernel stays alive while the cell waits."""
    return [f"await {lines[0]}", *lines[1:]] if lines and lines[0].startswith(_CELL) else lines


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
        True, help="Keep what was said with a local model, so that it goes on after a restart."
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
    @cell_magic
    def agent(self, line: str, cell: str) -> Any:
        """Send the cell's text to an agent and show its answer, live, with status, tokens and cost.

        `{name}`, `{df.shape}` and the like are filled from the notebook's variables. The Turn is in `_`,
        in Out, and in the variable named with -o: `_.text`, `_.usage`, `_.cost`, `_.tools`.

        Without -b and -m: Anthropic's Managed Agents with ANTHROPIC_API_KEY, else OpenAI with
        OPENAI_API_KEY, else a running Ollama, else a small model embedded here. `%agent use …` sets
        another default. ■ (or Ctrl-C) stops the turn and keeps what there is. `%agent help` has more.
        """
        arguments = parse_argstring(self.agent, line)
        run = self._extension.begin(arguments, cell, self)
        if arguments.bg:
            return self._extension.background(run, arguments.out)
        if _can_await(self.shell):
            return self._extension.foreground(run, arguments.out)
        return self._extension.blocking(run, arguments.out)

    @line_magic("agent")
    def agent_line(self, line: str) -> None:
        """Look after sessions.

        %agent                    all sessions, with status, model and tokens
        %agent stop [SESSION]     stop the turns of one session, or of all
        %agent allow [SESSION]    let the tools run that wait for your yes
        %agent deny [SESSION]     refuse them
        %agent policy TOOL POLICY allow, ask or deny a tool from now on; alone, what is set
        %agent reset [SESSION]    start a conversation over; the next prompt begins a new one
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
        from .commands import run_command

        run_command(self._extension, line)


def _can_await(shell: Any) -> bool:
    return hasattr(shell, "kernel") and bool(shell.autoawait)


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
        if _can_await(shell):
            shell.input_transformers_post.append(await_our_cells)
        for key in _COMPLETED:
            shell.set_hook("complete_command", self._complete, str_key=key)

    @functools.cached_property
    def conversations(self) -> Any:
        """The kernel's conversations."""
        from .conversations import Conversations

        return Conversations(lambda: self.magics.keep_history)

    def _complete(self, shell: Any, event: Any) -> list[str]:
        from .complete import complete

        return complete(self, shell, event)

    def remove(self) -> None:
        """Undo what __init__ did. What others have put in the place of ours meanwhile stays."""
        self.conversations.stop()
        tools.policies.clear()
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
        if await_our_cells in self.shell.input_transformers_post:
            self.shell.input_transformers_post.remove(await_our_cells)
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

    def begin(self, arguments: Any, cell: str, defaults: AgentMagics) -> Run:
        """Start the turn that a cell asks for and show it."""
        from ..usage.price_file import amount
        from ..verdicts import ask_by_input
        from .display import takes_clicks
        from .fill import fill
        from .toolbox_magic import tools_named
        from .usage_settings import give_budget

        backend = self.backend(arguments.backend or (None if arguments.model else defaults.backend))
        session = unquoted(arguments.session)
        conversation = self.conversations.get(
            session or arguments.backend or "main",
            backend,
            new=arguments.new,
            is_named=bool(session),
            model=arguments.model or (None if arguments.backend else defaults.model) or None,
            system=unquoted(arguments.system) or defaults.system or None,
            max_turns=arguments.max_turns or defaults.max_turns or None,
            tools=tools_named(arguments.tools, self.shell.user_ns),
        )
        prompt, notes = (cell, []) if arguments.raw else fill(cell, self.shell.user_ns)
        in_terminal = not hasattr(self.shell, "kernel")
        give_budget(conversation.backend)
        if missed := self.conversations.attach(conversation):
            self.show_missed(missed)
        run: Run = self.conversations.begin(
            conversation,
            prompt.strip(),
            notices=tuple(notes),
            lend=not arguments.bg,
            stream=in_terminal and not arguments.bg,
            budget=arguments.budget and amount(arguments.budget, "--budget"),
            asker=None if arguments.bg or takes_clicks(self.shell, defaults.live) else ask_by_input,
        )
        if not in_terminal:
            from .display import show

            show(run, self.shell, defaults.live, background=arguments.bg)
        return run

    def show_missed(self, run: Run) -> None:
        """Show a turn that was taken up again, before whatever the cell does else."""
        if hasattr(self.shell, "kernel"):
            from .display import show

            show(run, self.shell, self.magics.live, background=True)
        else:
            sys.stdout.write(f"{run.wait()!r}\n")

    async def foreground(self, run: Run, name: str | None) -> None:
        """Wait for the turn without blocking the kernel."""
        try:
            await run
            await self.conversations.settled()
        except (asyncio.CancelledError, KeyboardInterrupt):
            self._keep(run.turn, name)
            raise TurnInterrupted from None
        self._end(run.turn, name)

    def background(self, run: Run, name: str | None) -> Any:
        """Leave the turn to itself. The Run is `_` and `name`: it can be awaited, waited for and stopped."""
        self._keep(run, name)
        return _nothing() if _can_await(self.shell) else None

    def blocking(self, run: Run, name: str | None) -> None:
        """Wait for the turn where nothing can be awaited; in a terminal, write the text as it comes."""
        from .. import render

        try:
            for text in run.text():
                sys.stdout.write(plain.clean(text))
                sys.stdout.flush()
        except KeyboardInterrupt:
            self._keep(run.turn, name)
            raise TurnInterrupted from None
        finally:
            if not hasattr(self.shell, "kernel"):
                sys.stdout.write(f"\n{render.below_text(run.turn)}\n")
        self._end(run.turn, name)

    def _end(self, turn: Turn, name: str | None) -> None:
        self._keep(turn, name)
        if turn.error is not None:
            raise turn.error

    def _keep(self, turn: Turn | Run, name: str | None) -> None:
        """The Turn as `_`, Out[n] and `name`; it is shown already, so it is not the cell's value."""
        self.shell.displayhook.update_user_ns(turn)
        if name:
            self.shell.push({name: turn})

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


async def _nothing() -> None:
    """For the `await` that stands before our cells."""


def unquoted(text: str | None) -> str | None:
    """IPython's argument splitting keeps the quotes."""
    if text and len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    return text
