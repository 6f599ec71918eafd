"""What a prompt's braces do, in a real kernel: nothing but fill in variables."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from servers.kernel import Kernel
from servers.openai import OpenAIServer

SECRET = "hunter2-of-the-environment"
SETUP = f"""
import importlib.util, os, sys
import pandas as pd

calls = []
def save(*arguments):
    calls.append(1)
    return "SAVED"

class Report:
    def __init__(self): self.title = "Churn"
    @property
    def saved(self): return save()
    def __getattr__(self, name): return save()
    def __getitem__(self, key): return save()
    def __class_getitem__(cls, key): return save()

report = Report()
rows = [1, {{"age": 34}}]
i = 1
df = pd.DataFrame({{"age": [34, 51]}})
settings = {{"os": os, "text": "{SECRET}", "api_key": "abcdefgh-123"}}
"""


@pytest.fixture(scope="module")
def kernel(server: OpenAIServer) -> Iterator[Kernel]:
    environment = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "sk-test-1234567890"}
    with Kernel(env={**environment, "MY_API_KEY": SECRET}) as kernel:
        assert kernel.run(f"%agent use local\n{SETUP}").ok
        yield kernel


def last_prompt(server: OpenAIServer) -> str:
    return str(server.bodies[-1]["messages"][-1]["content"])


@pytest.mark.parametrize(
    "prompt",
    [
        "Review: `render() { return <b>{save()}</b> }`",
        "Explain {__import__('os').getcwd()}",
        "How do I leave a loop in the shell: {exit()}? {exit} {quit()} {quit} {sys.exit()} {os._exit(1)}",
        "a template: {id}, {type}, {print}, {list}, {open}, {get_ipython}, {In}, {Out}, {_ih}, {_oh}",
        "why does {os.environ} differ from {os.environ['MY_API_KEY']}? {settings['os'].sep} {sys.path}",
        "{save} {Report} {Report['x']} {report.saved} {report.missing} {report['x']} {report.save()}",
        "{rows[exit()]} {rows[save()]} {[save() for x in rows]} {(x := save())} {(lambda: save())()}",
        "{df.to_csv} {df.style} {df.to_csv('stolen')} {df.pipe(save)} {report.__class__} {report.__dict__}",
    ],
)
def test_nothing_in_a_prompt_is_run(kernel: Kernel, server: OpenAIServer, prompt: str) -> None:
    cell = kernel.run(f"%%agent --new\n{prompt}")
    assert cell.ok, cell.text
    assert last_prompt(server) == prompt
    assert "filled {" not in cell.text and SECRET not in cell.text
    assert kernel.run("print(f'alive {calls}')").text.strip() == "alive []"


def test_variables_are_filled_and_it_is_said_under_the_cell(kernel: Kernel, server: OpenAIServer) -> None:
    cell = kernel.run("%%agent --new\n{report.title}: {rows[0]} {rows[i]['age']} {df.shape} {i:03d} {nobody}")
    assert last_prompt(server) == "Churn: 1 34 [2, 1] 001 {nobody}"
    for panel in (cell.text, cell.of("text/html")[-1]):
        assert "{nobody} is left as it is: nobody is not defined" in panel
        assert "filled {report.title}: str, 5 characters sent; {rows[0]}: int, 1 character sent; " in panel
    cell = kernel.run("%%agent --new\n{df}")
    assert f"filled {{df}}: DataFrame, 2 rows × 1 columns, {len(last_prompt(server)) + 1}" in cell.text
    cell = kernel.run("%%agent --new --raw\n{df} {save()}")
    assert last_prompt(server) == "{df} {save()}" and "filled {" not in cell.text


def test_the_last_answer_is_filled(kernel: Kernel, server: OpenAIServer) -> None:
    kernel.run("%%agent --new\nSay {this}")
    kernel.run("%%agent --new\nShorten: {_.text}")
    assert last_prompt(server) == "Shorten: Say {this}"


def test_no_key_leaves_with_a_prompt(kernel: Kernel, server: OpenAIServer) -> None:
    cell = kernel.run("%%agent --new\n{settings['text']} {settings['api_key']} {settings['text']!r}")
    assert last_prompt(server) == "[key] [key] '[key]'"
    assert "sent, without" in cell.text and SECRET not in cell.text


def test_nothing_in_a_magics_line_is_run(kernel: Kernel, server: OpenAIServer) -> None:
    assert kernel.run("name, role = 'research', 'a poet'").ok
    cell = kernel.run('%%agent --new -s {name} --system "You are {role}, {save()}, {os.environ}, $role"\nHi')
    assert cell.ok and "] research · " in cell.text
    assert server.bodies[-1]["messages"][0]["content"] == "You are a poet, {save()}, {os.environ}, $role"
    assert "filled {role}: str, 6 characters sent" in cell.text
    for line in ("%agent How do I leave: {exit()}?", "%agent show {save()}", "%usage {save()}"):
        assert "SAVED" not in kernel.run(line).text
    refused = kernel.run("%%agent {os.environ['MY_API_KEY']} {save()}\nHi")
    assert not refused.ok and SECRET not in refused.text and "SAVED" not in refused.text
    assert kernel.run("print(f'alive {calls}')").text.strip() == "alive []"
