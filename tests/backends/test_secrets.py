"""No secret of a config leaves it, and no prompt goes to another host than the one that was named."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import pickle
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from praison_nb import HostedAgentConfig, LocalAgent, LocalAgentConfig, ManagedConfig, errors as e
from praison_nb.backends.local.providers import resolve
from praison_nb.redaction import redact
from praison_nb.store.sessions import Store, append_messages
from servers.hosted import HostedServer
from servers.hosted_agent import hosted
from servers.openai import OpenAIServer, reply

KEY, PASSWORD, HEADER = "vtk-lovelace-1815", "l0ve/lace", "eng1ne-of-ada"


def local(server: OpenAIServer, **fields: Any) -> LocalAgent:
    address = server.base_url.replace("://", "://ada:l0ve%2Flace@")
    options = {"extra_headers": {"X-Auth-Token": HEADER, "X-Title": "a notebook"}, "temperature": 0.5}
    return LocalAgent(
        config=LocalAgentConfig(
            **{"model": "m", "base_url": address, "api_key": KEY, "options": options, **fields}
        )
    )


def is_clean(text: str) -> bool:
    return not any(secret in text for secret in (KEY, PASSWORD, "l0ve%2Flace", "l0ve%2flace", HEADER))


def test_a_repr_and_a_pickle_have_no_secrets(openai_server: OpenAIServer) -> None:
    config = local(openai_server).config
    assert (
        is_clean(repr(config))
        and "'temperature': 0.5" in repr(config)
        and "'X-Title': '[key]'" in repr(config)
    )
    read = pickle.loads(pickle.dumps(config))
    assert is_clean(str(vars(read))) and is_clean(repr(pickle.dumps(config)))
    assert read.api_key is None and read.model == "m" and read.options == {"temperature": 0.5}
    # A copy is the same.
    for same in (copy.copy(config), copy.deepcopy(config)):
        assert (
            same == config and same.api_key == KEY and same.options["extra_headers"]["X-Auth-Token"] == HEADER
        )
    resource = {"type": "github_repository", "url": "https://example.org/r", "authorization_token": HEADER}
    for kind in (HostedAgentConfig, ManagedConfig):
        with pytest.warns() if kind is ManagedConfig else pytest.MonkeyPatch.context():
            far = kind(
                api_key=KEY, base_url="https://ada:l0ve%2Flace@example.org", resources=[resource], system=KEY
            )
        assert is_clean(repr(far)) and is_clean(str(pickle.loads(pickle.dumps(far))))


def test_what_was_given_to_a_config_is_known_everywhere(openai_server: OpenAIServer) -> None:
    local(openai_server)
    for secret in (KEY, PASSWORD, "l0ve%2Flace", HEADER, f"Bearer {KEY}", repr({"x": PASSWORD})):
        told = f"it is {secret}"
        assert is_clean(redact(told)) and is_clean(str(e.ServerError(told)))

    def leak() -> str:
        """Tell it."""
        return f"{KEY} and {PASSWORD}"

    openai_server.script(
        reply(calls=[("leak", "{}")]), reply("ok"), reply(calls=[("leak", "{}")]), reply("ok")
    )
    agent = local(openai_server, tools=[leak])
    turn = agent.begin("Hi").wait()
    assert turn.tools[0].result == "[key] and [key]"
    assert turn.notices == ("2 secrets were hidden from the model: api_key, a password in a URL",)


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
def test_no_error_and_no_log_has_one(openai_server: OpenAIServer, status: int, caplog: Any) -> None:
    caplog.set_level(logging.DEBUG)
    text = f"bad {KEY} at http://ada:l0ve%2Flace@host, {PASSWORD}, {HEADER}"
    openai_server.refuse(5, status=status, message=text, headers={"x-should-retry": "false"})
    turn = local(openai_server).begin("Hi").wait()
    assert turn.error is not None and is_clean(str(turn.error)) and "[key]" in str(turn.error)
    loggers = {record.name.partition(".")[0] for record in caplog.records}
    assert {"openai", "httpx2", "httpcore2"} <= loggers and is_clean(caplog.text)


def chain(error: BaseException) -> str:
    """All that the error and what it came of say."""
    texts, seen = ["".join(traceback.format_exception(error))], [error]
    for each in seen:
        texts += [str(each), repr(each), repr(each.args)]
        seen += [other for other in (each.__cause__, each.__context__) if other and other not in seen]
    return "".join(texts)


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 0])
def test_nor_has_what_an_error_came_of(openai_server: OpenAIServer, status: int) -> None:
    text = f"bad {KEY} at http://ada:l0ve%2Flace@host, {PASSWORD}, {HEADER}"
    agent = local(openai_server)
    if status:
        openai_server.refuse(5, status=status, message=text, headers={"x-should-retry": "false"})
    else:
        agent = local(openai_server, base_url="http://ada:l0ve%2Flace@127.0.0.1:1/v1")
    error = agent.begin("Hi").wait().error
    assert error is not None and is_clean(chain(error))
    if status:
        # A second time, as a script meets it.
        openai_server.refuse(5, status=status, message=text, headers={"x-should-retry": "false"})
    with pytest.raises(e.PraisonError) as caught:
        asyncio.run(agent.execute("Hi"))
    assert is_clean(chain(caught.value))


def test_nor_has_a_hosted_ones(server: HostedServer) -> None:
    for what in (
        lambda agent: agent.begin("Hi").wait().error,
        lambda agent: agent.list_agents(),
    ):
        agent = hosted(server)
        server.refuse(9, status=401, message=f"bad {server.api_key}")
        try:
            error = what(agent)
        except e.PraisonError as raised:
            error = raised
        assert isinstance(error, e.AuthenticationError) and server.api_key not in chain(error)
        server.refuse(0)


ADDRESSES = [
    "http://ada:p@Zq9w/rd#x@127.0.0.1/v1",
    "http://ada:Zq9w#x@127.0.0.1/v1",
    "http://ada:Zq9w?x@127.0.0.1/v1",
    "http://ada:Zq9w/x@127.0.0.1/v1",
    "http://ada:Zq9w\\x@127.0.0.1/v1",
    "http://ada:Zq9w\nx@127.0.0.1/v1",
    "http://ada:Zq9w x@127.0.0.1/v1",
    "http://ada:Zq9w%x@127.0.0.1/v1",
    "http://ada:[Zq9w]@127.0.0.1/v1",
    "http://ada@example.org:Zq9w@127.0.0.1/v1",
    "http://Zq9w#x@127.0.0.1/v1",
    "ada:Zq9w/x@127.0.0.1/v1",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_whose_password_is_not_encoded_is_refused(address: str, monkeypatch: Any) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    makers: list[Callable[[], Any]] = [
        lambda: LocalAgentConfig(model="m", base_url=address, api_key=KEY),
        lambda: LocalAgentConfig(model="m", api_base=address, api_key=KEY),
        lambda: HostedAgentConfig(base_url=address, api_key=KEY),
        lambda: resolve("gpt-4o", api_key=KEY),
    ]
    for make in makers:
        with pytest.raises(e.ConfigError, match="percent-encode") as caught:
            make()
        assert "Zq9w" not in chain(caught.value).partition("ConfigError: ")[2]
        assert "Zq9w" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "http://ada:Zq9%2Fx@h:80/v1",
        "http://ada:a:b-$&'()*+,;=!~@h/v1",
        "http://:pässword@h/v1",
        "http://h:80/v1/@ada",
        "http://h/v1?mail=a@b",
        "http://[::1]:80/@x",
        "http://user@h/v1",
    ],
)
def test_other_addresses_are_none_of_them(address: str) -> None:
    assert LocalAgentConfig(model="m", base_url=address).base_url == address


def test_what_a_server_says_is_cut_before_it_is_looked_at(openai_server: OpenAIServer) -> None:
    openai_server.refuse(9, status=400, message=f"{KEY} " + "token='a1 key=" * 300_000)
    begun = time.process_time()
    error = local(openai_server).begin("Hi").wait().error
    assert "[key]" in str(error) and is_clean(str(error)) and len(str(error)) < 1000
    assert time.process_time() - begun < 5


def test_a_history_is_redacted_where_it_is_written(tmp_path: Path) -> None:
    threads: list[str] = []
    messages = [{"role": "user", "content": "password: swordfish\n"}]

    class Noting(list[Any]):
        def __iter__(self) -> Any:
            threads.append("read")
            return super().__iter__()

    change = append_messages("local-1", "turn-1", Noting(messages))
    assert threads == []
    store = Store(tmp_path / "store.sqlite3")
    store.change(change)
    assert threads and store.history("local-1") == [{"role": "user", "content": "password: [key]\n"}]


def test_what_is_hidden_in_tools_of_ours_is_told(
    openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SOME_TOKEN", "difference-engine-1")
    (tmp_path / "settings.ini").write_text("url = postgres://ada:lovelace@db/app\n")
    calls = [
        ("run_python", {"code": "import os\nprint(os.environ['SOME_TOKEN'])"}),
        ("read_file", {"path": "settings.ini"}),
        ("execute_command", {"argv": ["cat", "settings.ini"]}),
    ]
    for name, arguments in calls:
        openai_server.script(reply(calls=[(name, json.dumps(arguments))]), reply("ok"))
    agent = local(
        openai_server,
        tools=[name for name, _ in calls],
        policies={name: "allow" for name, _ in calls},
        working_dir=str(tmp_path),
    )
    told = [agent.begin("Hi").wait() for _ in calls]
    assert [turn.notices for turn in told] == [
        ("1 secret was hidden from the model: SOME_TOKEN",),
        ("1 secret was hidden from the model: a password in a URL",),
        ("1 secret was hidden from the model: a password in a URL",),
    ]
    assert all("[key]" in turn.tools[0].result for turn in told)
    assert "difference-engine" not in str(openai_server.bodies) and "lovelace@" not in str(
        openai_server.bodies
    )


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_prompt_follows_a_redirect_to_another_host(openai_server: OpenAIServer, status: int) -> None:
    with OpenAIServer() as other:
        location = f"{other.base_url}/chat/completions?api_key={KEY}"
        openai_server.refuse(9, status=status, headers={"Location": location})
        turn = local(openai_server).begin("A prompt").wait()
        assert isinstance(turn.error, e.RequestRejectedError) and turn.error.status_code == status
        for server in (openai_server, other):
            assert urlsplit(server.base_url).netloc in str(turn.error)
        assert is_clean(str(turn.error)) and other.requests == [] and len(openai_server.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_nor_does_a_hosted_one(server: HostedServer, status: int) -> None:
    with HostedServer() as other:
        server.refuse(9, status=status, headers={"Location": f"{other.url}/v1/agents"})
        turn = hosted(server).begin("A prompt").wait()
        assert turn.error is not None and other.requests == []
        for each in (server, other):
            assert urlsplit(each.url).netloc in str(turn.error)


def test_another_scheme_or_name_is_another_host(openai_server: OpenAIServer) -> None:
    port = urlsplit(openai_server.base_url).port
    for location in (f"https://127.0.0.1:{port}/v1", f"//localhost:{port}/v1", "http://[::1]/v1", "http://"):
        openai_server.refuse(1, status=307, headers={"Location": location})
        turn = local(openai_server).begin("A prompt").wait()
        assert isinstance(turn.error, e.PraisonError) and "redirect" in str(turn.error), turn.error


@pytest.mark.parametrize("relative", [True, False])
def test_a_redirect_on_the_same_host_is_followed(openai_server: OpenAIServer, relative: bool) -> None:
    address = "/v1/chat/completions" if relative else f"{openai_server.base_url}/chat/completions"
    openai_server.script(reply("Hello"))
    openai_server.refuse(1, status=307, headers={"Location": address})
    assert local(openai_server).begin("A prompt").wait().text == "Hello"
    # In a circle it ends.
    openai_server.refuse(50, status=308, headers={"Location": address})
    turn = local(openai_server).begin("A prompt").wait()
    assert "redirect (308)" in str(turn.error) and len(openai_server.requests) < 12


def test_where_a_redirect_leads_is_asked_again_each_time(openai_server: OpenAIServer) -> None:
    agent = local(openai_server)
    asked = []
    for place in ("a", "b"):
        seen = len(openai_server.requests)
        location = f"{openai_server.base_url}/chat/completions?place={place}"
        openai_server.refuse(1, status=307, headers={"Location": location})
        agent.begin("A prompt").wait()
        asked.append([each.query.get("place") for each in openai_server.requests[seen:]])
    assert asked == [[None, "a"], [None, "b"]]
