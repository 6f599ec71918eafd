"""`%%agent`, `%agent` and `%usage`."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand
from IPython.core.magic_arguments import argument, magic_arguments
from traitlets import Bool, Enum, Int, Unicode

from ..imports import rare_collections
from .arguments import parse_arguments
from .extension import Extension
from .own_cells import AWAITED_CELL, OWN_CELL


@magics_class
class AgentMagics(Magics):
    """Defaults of `%%agent`; set them with `%config AgentMagics.model = "ollama/llama3.2"`."""

    backend = Unicode("", help="Backend: hosted, local, embedded, a registered name, or a variable.").tag(
        config=True
    )
    model = Unicode("", help="Model, such as gpt-5.6-luna, ollama/llama3.2, embedded.").tag(config=True)
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

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self.extension = Extension(shell, self)

    @magic_arguments()
    @argument("-b", "--backend", metavar="BACKEND", help="hosted, local, embedded, a name, or a variable")
    @argument(
        "-m",
        "--model",
        metavar="MODEL,…",
        help="gpt-5.6-luna, claude-sonnet-5-5, mistral/…, ollama/…, embedded, gguf:PATH, hf:OWNER/REPO, …; "
        "several are asked at once, side by side",
    )
    @argument(
        "--effort",
        metavar="EFFORT",
        help="how long the model thinks: none, low, medium, high or xhigh, as far as its provider has that",
    )
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
    @argument(
        "--as",
        dest="answer_type",
        nargs="+",
        metavar="TYPE",
        help="the answer's type, for Turn.value: Ticket, list[Ticket], Literal['good', 'bad'], int, …",
    )
    @argument(
        "--rows",
        nargs="+",
        metavar="FRAME",
        help="ask it for each row of this table (or expression); the text has the rows' values as {column}",
    )
    @argument("-o", "--out", metavar="NAME", help="also keep the Turn, of --rows the table, in this variable")
    @argument("--max-turns", type=int, metavar="N", help="requests of this turn at most")
    @argument("--budget", metavar="USD", help="end this turn before it costs more")
    @argument(
        "--tag",
        action="append",
        metavar="NAME=VALUE",
        help="what the turn is for, in the ledger; repeatable",
    )
    @argument("--outcome", metavar="RUBRIC", help="work until a grader finds the rubric fulfilled (hosted)")
    @argument("--bg", action="store_true", help="return at once; `await _` or `_.wait()` gives the Turn")
    @argument("--raw", action="store_true", help="send the text as it is, with every {brace}")
    @no_var_expand
    @cell_magic
    def agent(self, line: str, cell: str) -> Any:
        """Send the cell's text to an agent and show its answer, live, with status, tokens and cost.

        `{name}`, `{df.shape}`, `{rows[0]}` are filled from the notebook's variables; nothing in braces is
        run. The Turn is in `_`, in Out, and in the variable named with -o: `_.text`, `_.usage`, `_.cost`,
        `_.tools`; `{_.text}` in the next prompt is this answer.

        -m alone runs the model here, `claude-…` too; `-b hosted -m claude-…` is the managed one.
        Without -b and -m: Anthropic's Managed Agents with ANTHROPIC_API_KEY, else OpenAI with
        OPENAI_API_KEY, else a running Ollama, else a small model embedded here. `%agent use …` sets
        another default. ■ (or Ctrl-C) stops the turn and keeps what there is. `%agent help` has more.
        """
        from .cell import run_magic

        return run_magic(self.extension, parse_arguments(self.agent, line), cell)

    @no_var_expand
    @cell_magic(OWN_CELL)
    def agent_cell(self, line: str, cell: str) -> None:
        """What a cell becomes whose first line is `%%agent`: it has no value, since it shows the turn
        already. Everybody else calls `agent`."""
        from .cell import run_magic

        run_magic(self.extension, parse_arguments(self.agent, line), cell)

    @no_var_expand
    @cell_magic(AWAITED_CELL)
    def agent_cell_async(self, line: str, cell: str) -> Awaitable[None]:
        """`agent_cell` where the cell's code is awaited: it waits without blocking the kernel."""
        with rare_collections():
            from .cell import run_cell

        return run_cell(self.extension, parse_arguments(self.agent, line), cell)

    @no_var_expand
    @line_magic("agent")
    def agent_line(self, line: str) -> None:
        """Look after sessions.

        %agent                    all sessions, with status, model and tokens
        %agent stop [SESSION]     stop the turns of one session, or all turns and maps
        %agent allow [SESSION]    let the tools run that wait for your yes
        %agent deny [SESSION]     refuse them
        %agent policy TOOL POLICY allow, ask or deny a tool from now on; alone, what is set
        %agent reset [SESSION]    start a conversation over; the next prompt begins a new one
        %agent compact [-s NAME]  have the model sum up a long conversation, to go on from its summary
        %agent files [-s NAME]    what a hosted agent wrote; with FILE behind it, that one is saved here
        %agent show [SESSION] [N] an earlier turn again, as it was: the last one, the third (3), …
        %agent sessions           those of earlier kernels too; with TEXT: some; with all: archived ones
        %agent resume [SESSION]   go on with a stored session, by its name or id; alone, this notebook's last
        %agent rename OLD NEW     give a session another name
        %agent archive SESSION    keep it and end it, on its server too
        %agent delete SESSION     delete it, on its server too
        %agent forget [SESSION]   delete what is stored of it here
        %agent hosted             what was made on the server; `hosted clean` archives what is unused
        %agent use BACKEND|MODEL  the default from now on, such as embedded, ollama/llama3.2, or a variable
        %agent models             what this machine offers
        %agent chat [-s SESSION]  a conversation to type into, in this cell
        %agent tag NAME=VALUE …   what turns are for, from now on; `NAME=` takes one away, `off` all
        %agent budget USD/SCOPE   stop at so much a day, week, month, session, notebook; `off` ends that
        %agent price MODEL …      --input USD --output USD per million tokens, or --free; --since DATE
        %agent prices             yours, and the date of the table; `prices update` fetches a newer one
        %agent help               this page and that of %%agent
        """
        from .commands.table import run_command

        run_command(self.extension, line)

    def complete(self, shell: Any, event: Any) -> list[str]:
        """What can stand at the cursor, as IPython's hook asks for it."""
        from .complete import complete

        return complete(self.extension, self.agent.parser._option_string_actions, event)

    def find_kept(self, turn_id: str) -> tuple[dict[str, str], bool] | None:
        """What stays of a turn that is over, or of another kernel's, where a page has its output."""
        from .commands.show import find_kept

        return find_kept(self.extension.conversations, turn_id)

    def status(self) -> str:
        """What the status bar says."""
        from .commands.status import status

        return status(self.extension)

    def table(self) -> dict[str, Any]:
        """The table behind the status bar."""
        from .commands.status import overview_table

        return overview_table(self.extension)


@magics_class
class UsageMagics(Magics):
    """`%usage`."""

    @magic_arguments()
    @argument(
        "period", nargs="?", default="", help="today, week, month, all, 7d, 24h, 2w, …; running, or reprice"
    )
    @argument(
        "--by",
        metavar="KEY,…",
        help="model, day, session, cell, notebook, user, provider, tag:NAME, …; several with commas between",
    )
    @argument("-s", "--session", metavar="SESSION", help="only this session")
    @argument("-m", "--model", metavar="MODEL", help="only this model")
    @argument("--provider", metavar="PROVIDER", help="only this provider")
    @argument("--user", metavar="USER", help="only this user")
    @argument("--tag", action="append", metavar="NAME=VALUE", help="only turns with this tag")
    @argument("--since", metavar="TIME", help="from this date, or 7d, 24h, 2w ago, on")
    @argument("--until", metavar="TIME", help="before this date, or 7d, 24h, 2w ago")
    @argument("--tz", metavar="ZONE", help="the time zone of all days, such as Europe/Berlin")
    @argument("--ledger", action="append", metavar="PATH", help="this ledger; with several, all of them")
    @argument("--dearest", action="store_true", help="the cells that cost most")
    @argument(
        "--outliers", action="store_true", help="turns that cost far more than their model's usually do"
    )
    @argument("--csv", metavar="PATH", help="write the turns to a CSV file")
    @argument("--parquet", metavar="PATH", help="write the turns to a Parquet file")
    @argument("--json", metavar="PATH", help="write the turns to a JSON file")
    @argument("--focus", metavar="PATH", help="write the charges to a CSV file as FOCUS 1.2 has them")
    @argument("-o", "--out", metavar="NAME", help="keep the turns as a DataFrame in this variable")
    @argument("--yes", action="store_true", help="with reprice: note the prices")
    @no_var_expand
    @line_magic
    def usage(self, line: str) -> None:
        """What was used and what it cost, by the ledger.

        %usage                         today, this week, this month, the running hour
        %usage week --by model         one row a model
        %usage month --by day,model    one row a day and model
        %usage 7d --by tag:study       one row a value of the tag that `%%agent --tag study=…` gives
        %usage month --dearest         the cells that cost most; --outliers: turns out of the ordinary
        %usage running                 what is under way in all kernels, and what it may cost
        %usage all --csv turns.csv     the turns as a file, also --json, --parquet, --focus; -o df
        %usage reprice                 what requests without a price would cost by now; --yes notes it

        Days, weeks and months are those of UTC, as providers bill, or of --tz. Files have the attribute names
        of OpenTelemetry's GenAI conventions, --focus has FOCUS' columns.
        """
        from .commands.usage import report
        from .fill import fill_options

        arguments = parse_arguments(self.usage, line)
        texts = ("session", "model", "provider", "user", "since", "until", "csv", "parquet", "json", "focus")
        fill_options(arguments, texts, self.shell)
        report(self.shell, arguments)
