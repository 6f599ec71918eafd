"""A short run through everything that a dependency could break, against servers on this machine.

Runs without pytest, by the Python of any environment that has praison_nb and `REQUIRES` of
`test_smoke.py`: the public names, a turn of each kind of agent, `%%agent` in a kernel, `usage()` in pandas.
"""

from __future__ import annotations

import inspect
import os
import sys
import tempfile
from pathlib import Path
from typing import get_args

# In the place of this folder, so that `servers` can be imported and the source tree cannot.
sys.path[0] = str(Path(__file__).parents[1])
FILES = tempfile.TemporaryDirectory()
os.environ["PRAISON_NB_LEDGER"] = f"{FILES.name}/ledger.sqlite"
os.environ["PRAISON_NB_PRICES"] = f"{FILES.name}/prices.json"

import praison_nb  # noqa: E402
from servers.hosted import HostedServer, Tokens, text  # noqa: E402
from servers.kernel import Kernel  # noqa: E402
from servers.openai import OpenAIServer, reply  # noqa: E402


def double(number: int) -> int:
    """Twice a number.

    Args:
        number: The number.
    """
    return 2 * number


def public_names() -> None:
    for name in praison_nb.__all__:
        assert getattr(praison_nb, name) is not None, name


def local_turn(server: OpenAIServer) -> None:
    server.script(reply(calls=[("double", '{"number": 21}')]), reply("It is **42**.", usage=(1000, 500)))
    config = praison_nb.LocalAgentConfig(
        model="gpt-4o-mini",
        base_url=server.base_url,
        api_key="sk-test-1234567890",
        tools=[double, "run_python"],
    )
    turn = praison_nb.LocalAgent(config=config).begin("What is 2 × 21?").wait()
    assert turn.text == "It is **42**." and turn.tools[0].result == "42", turn
    assert turn.usage.output_tokens == 505, turn.usage
    assert "<strong>42</strong>" in turn._repr_html_(), turn._repr_html_()


def hosted_turn() -> None:
    with HostedServer() as server:
        server.script([text("Hello", deltas=3, usage=Tokens(12, 5))])
        config = praison_nb.HostedAgentConfig(
            model="claude-haiku-4-5", base_url=server.url, api_key=server.api_key, tools=[double]
        )
        agent = praison_nb.HostedAgent(config=config)
        turn = agent.begin("Hi").wait()
        assert turn.text == "Hello" and turn.cost, turn
        assert agent.retrieve_session()["status"] == "idle"


def events_of_the_sdk() -> None:
    """Whichever SDK this is: none of its events is passed over in silence."""
    from anthropic.types.beta.sessions import BetaManagedAgentsStreamSessionEvents

    from praison_nb.backends.hosted.translate import Reader

    union = get_args(get_args(BetaManagedAgentsStreamSessionEvents)[0])
    kinds = {get_args(each.model_fields["type"].annotation)[0] for each in union}
    source = inspect.getsource(Reader._translate)
    assert len(kinds) >= 44 and not (unread := [kind for kind in kinds if f'"{kind}"' not in source]), unread


def in_a_kernel(server: OpenAIServer) -> None:
    env = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "sk-test-1234567890"}
    with Kernel(env=env) as kernel:
        server.script(reply("From a **cell**."))
        cell = kernel.run("%%agent -m gpt-4o-mini -s smoke\nHello")
        assert cell.ok and "From a **cell**." in cell.answers[0], cell.text
        for code, shown in {
            "%agent": "smoke",
            "%agent show smoke": "From a **cell**.",
            "%usage": "month",
            "import praison_nb; praison_nb.chat('smoke')": "",
            "praison_nb.sessions()": "",
        }.items():
            cell = kernel.run(code)
            assert cell.ok and shown in cell.text, cell.text


def money() -> None:
    turns = praison_nb.usage()
    assert len(turns) == 3, turns
    by_model = turns.agent.by("model")
    assert by_model.loc["scripted-1", "output_tokens"] == 510, by_model
    assert praison_nb.usage.by("day")["turns"].sum() == 3


def main() -> None:
    with OpenAIServer() as server:
        public_names()
        local_turn(server)
        hosted_turn()
        events_of_the_sdk()
        in_a_kernel(server)
    money()
    print(f"Python {sys.version.split()[0]}: praison_nb works, from {Path(praison_nb.__file__).parent}")


if __name__ == "__main__":
    main()
