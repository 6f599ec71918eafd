"""`%usage`."""

from __future__ import annotations

from IPython.core.magic import Magics, line_magic, magics_class, no_var_expand
from IPython.core.magic_arguments import argument, magic_arguments

from .arguments import parsed


@magics_class
class UsageMagics(Magics):
    """`%usage`."""

    @magic_arguments()
    @argument("period", nargs="?", default="", help="today, week, month (all in UTC) or all")
    @argument("--by", metavar="KEY", help="model, day, session, cell, notebook, user, backend, provider, …")
    @argument("-s", "--session", metavar="SESSION", help="only this session")
    @argument("-m", "--model", metavar="MODEL", help="only this model")
    @argument("--csv", metavar="PATH", help="write the turns to a CSV file")
    @argument("--parquet", metavar="PATH", help="write the turns to a Parquet file")
    @argument("-o", "--out", metavar="NAME", help="keep the turns as a DataFrame in this variable")
    @no_var_expand
    @line_magic
    def usage(self, line: str) -> None:
        """What was used and what it cost, by the ledger.

        %usage                      today, this week, this month
        %usage week --by model      one row a model
        %usage month --by day       one row a day
        %usage all --csv turns.csv  the turns as a file, -o df as a DataFrame

        Days, weeks and months are those of UTC, as providers bill. Files have the attribute names of
        OpenTelemetry's GenAI conventions.
        """
        from .commands.usage import report
        from .fill import fill_options

        arguments = parsed(self.usage, line)
        fill_options(arguments, ("session", "model", "csv", "parquet"), self.shell)
        report(self.shell, arguments)
