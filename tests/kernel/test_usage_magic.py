"""`%usage`, `%agent price` and `%agent budget` in a real kernel."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from praison_nb import usage
from servers.hosted import HostedServer, request as hosted_request, text as hosted_text
from servers.kernel import Cell, Kernel
from servers.openai import OpenAIServer, reply

SETUP = """
from praison_nb import LocalAgent, LocalAgentConfig
agent = LocalAgent(config=LocalAgentConfig(model="m", base_url={url!r}, api_key="test-key-123"))
"""


@pytest.fixture
def kernel(tmp_path: Path, openai_server: OpenAIServer) -> Iterator[Kernel]:
    env = {
        "PRAISON_NB_PRICES": str(tmp_path / "prices.json"),
        "JPY_SESSION_NAME": "/home/ann/churn.ipynb",
        "LOGNAME": "ann",
    }
    with Kernel(env=env) as running:
        assert running.run(SETUP.format(url=openai_server.base_url)).ok
        yield running


def ask(kernel: Kernel, options: str = "", prompt: str = "Hi") -> str:
    cell = kernel.run(f"%%agent -b agent {options}\n{prompt}")
    assert cell.ok, cell.error
    return cell.text


def test_a_price_from_a_cell_counts_at_once_and_stays(kernel: Kernel, tmp_path: Path) -> None:
    assert "cost —" in ask(kernel)
    said = kernel.run("%agent price scripted-1 --input 3 --output 15 --cache-read=0.3").text
    assert "scripted-1 costs $3 in and $15 out per million tokens" in said
    assert "$0.00010" in ask(kernel)  # 10 * 3 + 5 * 15 = 105 millionths
    listed = kernel.run("%agent price").text
    assert re.search(r"scripted-1 +\$3 +\$15 +\$0\.3", listed)
    assert "genai-prices" in listed and "prices update" in listed
    (kept,) = json.loads((tmp_path / "prices.json").read_text()).values()
    since = datetime.fromisoformat(kept.pop("since"))
    assert kept == {"input": 3, "output": 15, "cache_read": 0.3} and since <= datetime.now(UTC)
    # The turn before it had none.
    would_be = kernel.run("%usage reprice").text
    assert re.search(r"scripted-1 +— +1 +10 +5 +\$0\.00010 +user · since", would_be)
    assert "$0.00010 more" in would_be and [*usage()["cost"].isna()] == [True, False]
    assert "is in the ledger now" in kernel.run("%usage reprice --yes").text
    assert [*usage()["cost"]] == pytest.approx([0.000105] * 2, abs=1e-12)
    assert "Nothing to price" in kernel.run("%usage reprice").text
    assert "free" in kernel.run("%agent price scripted-1 --free").text
    assert "$0.0000" in ask(kernel)
    assert "no price of yours" in kernel.run("%agent price scripted-1 --forget").text
    assert "cost —" in ask(kernel)


def test_who_where_and_which_cell(kernel: Kernel) -> None:
    message = kernel.client.session.send(
        kernel.client.shell_channel.socket,
        "execute_request",
        {"code": "%%agent -b agent\nHi", "silent": False, "store_history": True, "user_expressions": {}},
        metadata={"cellId": "3f1c-cell"},
    )
    cell = kernel._cells[message["header"]["msg_id"]] = Cell(message["header"]["msg_id"])
    assert kernel.finish(cell).ok
    ask(kernel)
    frame = usage()
    assert [*frame["user"]] == ["ann"] * 2 and [*frame["notebook"]] == ["/home/ann/churn.ipynb"] * 2
    assert [*frame["cell"]] == ["3f1c-cell", ""]


def test_usage_says_what_was_used(kernel: Kernel, openai_server: OpenAIServer, tmp_path: Path) -> None:
    assert "no ledger" not in kernel.run("%usage").text
    kernel.run("%agent price scripted-1 --input 1000 --output 1000")
    openai_server.script(reply("one", usage=(1000, 500, 250)), reply("two", usage=(1000, 500, 250)))
    ask(kernel)
    ask(kernel, "-s other")
    cell = kernel.run("%usage")
    lines = cell.text.splitlines()
    assert lines[0].split() == ["turns", "in", "cached", "out", "cost", "failed"]
    assert re.match(r"today +2 +2,000 +25% +1,000 +\$3\.0000 +0 +█{10}$", lines[1])
    assert lines[2].startswith("this week") and lines[3].startswith("this month")
    assert "█  14 days, the most expensive $3.00" in lines[4]
    (html,) = cell.of("text/html")
    assert html.count("<tr>") == 4 and "<script" not in html
    table = kernel.run("%usage today --by session").text
    assert re.search(r"^agent +1 ", table, re.M) and re.search(r"^other +1 ", table, re.M)
    assert re.search(r"^today +2 ", table, re.M)
    assert "unknown" not in kernel.run("%usage month --by day -m scripted-1").text

    csv, parquet = tmp_path / "turns.csv", tmp_path / "turns.parquet"
    said = kernel.run(f"%usage all --csv {csv} --parquet {parquet} -o df").text
    assert f"2 turns are in {csv}." in said and "2 turns are in the DataFrame df." in said
    for written in (pd.read_csv(csv), pd.read_parquet(parquet)):
        assert written["gen_ai.usage.input_tokens"].sum() == 2000
        assert written["gen_ai.usage.cache_read.input_tokens"].sum() == 500
        assert written["praison_nb.cost.usd"].sum() == 3.0
        assert {*written["gen_ai.response.model"]} == {"scripted-1"}
        assert {*written["gen_ai.operation.name"]} == {"invoke_agent"}
    assert kernel.run("print(df.shape[0], df.agent.by('session').shape[0])").text.strip() == "2 2"


def test_questions_of_those_who_pay(kernel: Kernel, openai_server: OpenAIServer, tmp_path: Path) -> None:
    for model in ("m", "scripted-1"):
        kernel.run(f"%agent price {model} --input 1000 --output 1000")
    openai_server.script(*(reply("x", usage=(1000, 500)) for _ in range(3)))
    said = kernel.run("%agent tag team=a study=old").text
    assert "All turns of this kernel are tagged study=old, team=a" in said
    kernel.run("name = 'churn'")
    ask(kernel, "--tag study={name} --tag 'step=first try'")
    ask(kernel, "--tag study=pricing")
    assert "No tags." in kernel.run("%agent tag off").text
    ask(kernel)
    assert [*usage()["tags"]] == ["step=first try,study=churn,team=a", "study=pricing,team=a", ""]
    lines = kernel.run("%usage today --by tag:study,model").text.splitlines()
    assert lines[0].split()[:3] == ["tag:study", "model", "turns"]
    assert re.match(r"— +scripted-1 +1 +1,000 ", lines[1]) and re.match(r"churn +scripted-1 +1 ", lines[2])
    assert re.match(r"today +3 +3,000 ", lines[4]) and lines[5] == "Days are those of UTC."
    assert re.search(r"^scripted-1 +2 ", kernel.run("%usage 24h --tag team=a").text, re.M)
    assert "Days are those of Europe/Berlin." in kernel.run("%usage --since 7d --tz Europe/Berlin").text
    assert "/home/ann/churn.ipynb" in kernel.run("%usage --dearest").text
    assert "No turn cost far more" in kernel.run("%usage --outliers").text
    assert "in the running hour, $4.50 in the last 60 minutes" in kernel.run("%usage").text
    other = usage.example(tmp_path / "other.sqlite", turns=30, until=datetime(2026, 3, 20, tzinfo=UTC))
    both = kernel.run(f"%usage all --ledger {other} --ledger {os.environ['PRAISON_NB_LEDGER']}").text
    assert re.search(r"^in all +33 |^all +33 ", both, re.M) and "scripted-1" in both
    file, focus = tmp_path / "turns.json", tmp_path / "focus.csv"
    said = kernel.run(f"%usage all --json {file} --focus {focus}").text
    assert f"3 turns are in {file}." in said and f"3 charges are in {focus}." in said
    assert pd.read_csv(focus)["BilledCost"].sum() == pytest.approx(4.5)
    assert len(json.loads(file.read_text())) == 3


def test_of_many_days_the_newest_are_shown(kernel: Kernel) -> None:
    path = Path(os.environ["PRAISON_NB_LEDGER"])
    usage.example(path, turns=400, days=60, until=datetime(2026, 3, 20, 12, tzinfo=UTC))
    days = [f"{day:%Y-%m-%d}" for day in usage.by("day").index]
    _, *shown, total = kernel.run("%usage all --by day").text.splitlines()[:23]
    assert [line.split()[0] for line in shown[1:]] == days[-20:]
    turns = usage.by("day")["turns"]
    assert shown[0].startswith(f"{len(days) - 20} earlier ") and total.startswith("all ")
    assert shown[0].split()[2] == str(turns[:-20].sum())
    # Names come the most expensive first, and the others last.
    cells = kernel.run("%usage all --by session_id").text.splitlines()
    assert re.match(r"\d+ others ", cells[21]) and cells[22].startswith("all ")


def test_turns_without_a_price_are_counted(kernel: Kernel) -> None:
    ask(kernel)
    said = kernel.run("%usage").text
    assert "1 turn without a price: not in the cost." in said
    assert re.search(r"today +1 +10 +0% +5 +— +0", said)


def test_a_budget_from_a_cell(kernel: Kernel, openai_server: OpenAIServer) -> None:
    for model in ("m", "scripted-1"):
        kernel.run(f"%agent price {model} --input 0 --output 1000")
    assert "No budgets." in kernel.run("%agent budget").text
    for scope, usd in (("day", 5), ("session", 6), ("notebook", 70)):
        assert re.search(
            rf"{scope} +\${usd}\.00 +\$0\.00 +0%", kernel.run(f"%agent budget {usd}/{scope}").text
        )
    assert "No budget for the session any more." in kernel.run("%agent budget off/session").text
    openai_server.script(reply("x", usage=(1, 4500)))
    assert "90% of the day's budget is used: $4.50 of $5.00." in ask(kernel)
    openai_server.script(reply("x", usage=(1, 1000)))
    ask(kernel)
    assert openai_server.bodies[-1]["max_tokens"] == 500
    assert re.search(r"day +\$5\.00 +\$5\.50 +110%", kernel.run("%agent budget").text)
    requests = len(openai_server.bodies)
    text = ask(kernel)
    assert "the day's budget of $5.00 is used up ($5.50 spent): `%agent budget 10.00/day` raises it" in text
    assert len(openai_server.bodies) == requests
    assert "No budgets any more." in kernel.run("%agent budget off").text
    text = ask(kernel, "--budget 1")
    assert "is used up" not in text and len(openai_server.bodies) == requests + 1


def test_a_hosted_session_gets_the_providers_own_budget_too(kernel: Kernel) -> None:
    with HostedServer() as server:
        server.script([hosted_request(hosted_text("one"))])
        kernel.run(
            "from praison_nb import HostedAgent, HostedAgentConfig\n"
            f"far = HostedAgent(HostedAgentConfig(api_key={server.api_key!r}, base_url={server.url!r}))"
        )
        kernel.run("%agent budget 2.505/session")
        cell = kernel.run("%%agent -b far\nHi")
        assert cell.ok, cell.error
        (made,) = server.seen("POST", "/sessions")
        assert made.json["budget"]["max_list_cost"] == {"amount": "250", "currency": "USD"}
        assert kernel.run("%agent budget 5/session").ok
        raised = server.seen("POST", f"/sessions/{next(iter(server.sessions))}")
        assert raised[0].json["budget"]["max_list_cost"]["amount"] == "500"
        assert kernel.run("%agent budget off").ok
        lifted = server.seen("POST", f"/sessions/{next(iter(server.sessions))}")
        assert lifted[1].json["budget"] is None and len(lifted) == 2


def test_a_hosted_session_ends_at_what_is_left_of_the_day(kernel: Kernel) -> None:
    with HostedServer() as server:
        server.script([hosted_request(hosted_text("one"))])
        kernel.run(
            "from praison_nb import HostedAgent, HostedAgentConfig\n"
            f"far = HostedAgent(HostedAgentConfig(api_key={server.api_key!r}, base_url={server.url!r}))"
        )
        kernel.run("%agent budget 9/session")
        kernel.run("%agent budget 2.509/day")
        cell = kernel.run("%%agent -b far\nHi")
        assert cell.ok, cell.error
        (made,) = server.seen("POST", "/sessions")
        assert made.json["budget"]["max_list_cost"] == {"amount": "250", "currency": "USD"}
        assert "The server ends this session at $2.50, which is left of the day's budget" in cell.text


def test_a_hosted_sessions_own_budget_stays(kernel: Kernel) -> None:
    with HostedServer() as server:
        server.script([hosted_request(hosted_text("one"), cents=10)])
        kernel.run(
            "from praison_nb import HostedAgent, HostedAgentConfig\n"
            f"far = HostedAgent(HostedAgentConfig(api_key={server.api_key!r}, base_url={server.url!r}, "
            "budget=1.00))"
        )
        kernel.run("%agent budget 5/session")
        cell = kernel.run("%%agent -b far\nHi")
        assert cell.ok, cell.error
        (made,) = server.seen("POST", "/sessions")
        assert made.json["budget"]["max_list_cost"]["amount"] == "100"
        for line in ("5/session", "0.50/session", "off", "0.60/session", "7/session"):
            assert kernel.run(f"%agent budget {line}").ok
        changes = server.seen("POST", f"/sessions/{next(iter(server.sessions))}")
        assert [each.json["budget"]["max_list_cost"]["amount"] for each in changes] == [
            "50",
            "100",
            "60",
            "100",
        ]
        assert kernel.run("print(far.config.budget)").text.strip() == "1.0"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("%usage yesterday", "%usage knows no 'yesterday'. It knows today, week, month, all, 7d, 24h"),
        ("%usage week --since 7d", "%usage takes week or --since, not both."),
        ("%usage --by day,colour", "There are no totals by 'colour'."),
        ("%usage --tz Mars/Olympus", "There is no time zone 'Mars/Olympus': name one such as Europe/Berlin."),
        (
            "%usage --tag churn",
            "A tag is name=value, such as study=churn, and has no comma in it: not 'churn'",
        ),
        ("%agent tag churn", "A tag is name=value, such as study=churn, and has no comma in it: not 'churn'"),
        ("%%agent -b agent --tag a,b=c\nHi", "A tag is name=value, such as study=churn"),
        ("%usage --by colour", "There are no totals by 'colour'. There are by hour, day, week, month, user"),
        ("%agent price", "No prices of yours."),
        ("%agent prices", "Every other price is from genai-prices"),
        ("%agent prices update http://127.0.0.1:9/x", "No newer price table: ConnectError"),
        ("%agent prices now", "It is `%agent prices`, or"),
        ("%agent price m --free --since soon", "since must be a date"),
        ("%agent price m --input 3", "A price needs --input and --output"),
        (
            "%agent price m --input three --output 4",
            "--input must be a number of USD from 0 to 1,000,000, not 'three'",
        ),
        ("%agent price m --intput 3", "%agent price has no '--intput'."),
        ("%agent price --free", "Name the model"),
        ("%agent budget lots", "The budget must be a number of USD from 0 to 1,000,000, not 'lots'."),
        ("%agent budget 10000000/day", "The budget must be a number of USD from 0 to 1,000,000, not"),
        ("%agent budget 5/year", "A budget is for a session, notebook, day, week, month, user, not 'year'"),
        (
            "%%agent -b agent --budget much\nHi",
            "--budget must be a number of USD from 0 to",
        ),
        ("%usage all --csv /no/such/dir/x.csv", "/no/such/dir/x.csv cannot be written"),
    ],
)
def test_bad_input_gets_one_line(kernel: Kernel, line: str, says: str) -> None:
    said = kernel.run(line).text
    assert says in said and "Traceback" not in said


def test_unloading_takes_usage_away(kernel: Kernel) -> None:
    assert kernel.run("%usage").ok
    assert kernel.run("%unload_ext praison_nb").ok
    assert "%usage` not found" in kernel.run("%usage").text
    assert os.environ["PRAISON_NB_LEDGER"]
