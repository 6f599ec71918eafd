"""The chat in a real JupyterLab."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from browser.lab import PATIENCE_MS, Notebook, Server
from servers.hosted import HostedServer, builtin_tool, text
from servers.hosted_agent import KEY, hosted as an_agent, play
from servers.openai import OpenAIServer

pytestmark = pytest.mark.browser
expect.set_options(timeout=PATIENCE_MS)
Fill = Callable[[list[str]], Notebook]


@pytest.fixture
def server() -> Iterator[HostedServer]:
    with HostedServer() as server:
        server.api_key = KEY
        yield server


def chat(fill: Fill, backend: str) -> tuple[Notebook, Locator]:
    notebook = fill([f"import praison_nb\nb = {backend}", "praison_nb.chat(b)"])
    notebook.run(2)
    notebook.run(3)
    view = notebook.view(3)
    expect(view.get_by_role("textbox", name="Message")).to_be_visible()
    return notebook, view


def say(view: Locator, text: str) -> None:
    field = view.get_by_role("textbox", name="Message")
    field.fill(text)
    field.press("Enter")


def test_a_turn_streams_and_the_next_one_follows(lab: Server, fill: Fill) -> None:
    notebook, view = chat(fill, "research()")
    field = view.get_by_role("textbox", name="Message")
    field.fill("Which columns?")
    field.press("Shift+Enter")
    field.press_sequentially("Be brief.")
    expect(view.locator(".pnb-prompt")).to_have_count(0)
    field.press("Enter")
    expect(view.locator(".pnb-prompt")).to_contain_text("Which columns?\nBe brief.", use_inner_text=True)
    expect(view.locator("strong", has_text="contract_type")).to_be_visible()
    expect(view.locator(".pnb-status")).to_have_text("running")
    expect(view.locator("details")).to_have_count(2)
    expect(field).to_have_value("")
    expect(field).to_be_focused()
    # The kernel is free meanwhile.
    assert notebook.ended(3)
    say(view, "Too early")
    expect(view).to_contain_text("A turn is under way: wait until it is over, or press Stop.")
    expect(field).to_have_value("Too early")
    expect(view.locator(".pnb-prompt")).to_have_count(1)
    lab.open_gate("research")
    expect(view.locator(".pnb-status")).to_have_text("idle")
    expect(view.locator("strong", has_text="monthly_charges")).to_be_visible()
    field.press("Enter")
    expect(view.locator(".pnb-prompt")).to_have_count(2)
    expect(view.locator("strong", has_text="monthly_charges")).to_have_count(2)
    expect(view.locator(".pnb-status")).to_have_text("idle")


def test_stop_keeps_the_text_and_the_chat_goes_on(fill: Fill) -> None:
    _, view = chat(fill, "counting('never', words=5)")
    say(view, "Count")
    expect(view).to_contain_text("0 1 2 3 4")
    view.get_by_role("button", name="Stop").click()
    expect(view).to_contain_text("stopped by you after")
    expect(view.locator(".pnb-status")).to_have_text("idle")
    expect(view.get_by_role("button", name="Stop")).to_be_hidden()
    say(view, "Again")
    expect(view.locator(".pnb-prompt")).to_have_count(2)
    stop = view.get_by_role("button", name="Stop")
    expect(stop).to_be_enabled()
    stop.click()
    expect(view.get_by_text("stopped by you after")).to_have_count(2)


def test_approvals_and_a_new_session_by_keyboard(page: Page, fill: Fill) -> None:
    _, view = chat(fill, "asking('make all', 'make install')")
    field = view.get_by_role("textbox", name="Message")
    field.focus()
    page.keyboard.type("Build it.")
    page.keyboard.press("Enter")
    expect(view.get_by_role("group", name="bash wants to run")).to_contain_text("make all")
    expect(view.locator(".pnb-status")).to_have_text("running · waiting for you")
    expect(view.get_by_role("button", name="Allow once")).to_be_enabled()
    page.keyboard.press("Shift+Tab")  # Stop
    page.keyboard.press("Shift+Tab")  # Deny
    page.keyboard.press("Shift+Tab")  # for this session
    page.keyboard.press("Shift+Tab")  # once
    expect(view.get_by_role("button", name="Allow once")).to_be_focused()
    page.keyboard.press("Enter")
    expect(view.get_by_role("group", name="bash wants to run")).to_contain_text("make install")
    view.get_by_role("button", name="Deny").press("Enter")
    expect(view.locator("details")).to_have_count(2)
    expect(view.locator("details").nth(0)).to_contain_text("✓")
    expect(view.locator("details").nth(1)).to_contain_text("✗ denied")
    expect(view).to_contain_text("It is built.")
    view.get_by_role("button", name="New session").press("Enter")
    expect(view.locator(".pnb-prompt")).to_have_count(0)
    expect(view.locator(".pnb-status")).to_have_text("none")


def hosted_chat(fill: Fill, server: HostedServer) -> Locator:
    config = f"api_key={server.api_key!r}, base_url={server.url!r}"
    return chat(fill, f"praison_nb.HostedAgent(config=praison_nb.HostedAgentConfig({config}))")[1]


def test_a_model_that_cannot_be_had_is_refused_in_words(fill: Fill, server: HostedServer) -> None:
    view = hosted_chat(fill, server)
    model = view.get_by_label("Model")
    expect(model).to_have_value("claude-sonnet-4-6")
    model.fill("gpt-4o-mini")
    model.press("Enter")
    expect(view).to_contain_text("gpt-4o-mini needs a session of its own")
    expect(model).to_have_value("claude-sonnet-4-6")
    model.fill("claude-opus-4-6")
    model.press("Enter")
    expect(view.locator(".pnb-panel")).to_contain_text("claude-opus-4-6")


def write_then_choose(view: Locator, text: str, model: str) -> None:
    """Write a message, then another model, and send without leaving its field before."""
    view.get_by_role("textbox", name="Message").fill(text)
    view.get_by_label("Model").fill(model)
    view.get_by_role("button", name="Send").click()


def test_a_message_goes_to_the_model_that_was_chosen_or_to_none(
    page: Page, fill: Fill, server: HostedServer
) -> None:
    view = hosted_chat(fill, server)
    field, model = view.get_by_role("textbox", name="Message"), view.get_by_label("Model")
    write_then_choose(view, "For GPT", "gpt-4o-mini")
    expect(view).to_contain_text("gpt-4o-mini needs a session of its own")
    expect(model).to_have_value("claude-sonnet-4-6")
    expect(field).to_have_value("For GPT")
    # A slow click: the button goes down, the model is refused, the button comes up.
    view.get_by_label("Model").fill("gpt-4o")
    view.get_by_role("button", name="Send").hover()
    page.mouse.down()
    expect(view).to_contain_text("gpt-4o needs a session of its own")
    page.mouse.up()
    expect(field).to_have_value("For GPT")
    # What is taken next is the first that the kernel takes.
    write_then_choose(view, "For the other", "claude-opus-4-6")
    expect(view.locator(".pnb-text")).to_have_count(1)
    expect(view.locator(".pnb-prompt")).to_have_text("YouFor the other")
    expect(view).not_to_contain_text("needs a session of its own")
    expect(field).to_have_value("")
    assert [request.json["model"] for request in server.seen("POST", "/v1/agents")] == ["claude-opus-4-6"]


def test_a_message_waits_for_the_models_answer(fill: Fill, openai_server: OpenAIServer) -> None:
    config = f"model='gpt-4o-mini', base_url={openai_server.base_url!r}, api_key='test-key-123'"
    made = f"import praison_nb\nb = praison_nb.LocalAgent(config=praison_nb.LocalAgentConfig({config}))"
    notebook = fill([made, "praison_nb.chat(b)", "import time; time.sleep(600)"])
    notebook.run(2)
    notebook.run(3)
    view = notebook.view(3)
    expect(view.get_by_label("Model")).to_have_value("gpt-4o-mini")
    notebook.run(4)
    write_then_choose(view, "Hello", "gpt-4o")
    expect(view).to_contain_text("The model has not arrived: the kernel is busy.")
    notebook.do("kernelmenu:interrupt")
    expect(view.locator(".pnb-prompt")).to_have_text("YouHello")
    expect(view.locator(".pnb-text")).to_have_count(1)
    expect(view).not_to_contain_text("has not arrived")
    assert [body["model"] for body in openai_server.bodies] == ["gpt-4o"]


def test_a_cells_turns_are_in_the_chat_and_opening_it_again_keeps_it(fill: Fill) -> None:
    cells = ["b = unpriced()", "%agent chat -s both", "%%agent -s both -b b\nFrom a cell"]
    notebook = fill(["import praison_nb", *cells])
    notebook.run(3)
    notebook.run(5)
    notebook.wait_idle(5)
    notebook.run(4)
    view = notebook.view(4)
    expect(view.locator(".pnb-prompt")).to_have_text("YouFrom a cell")
    say(view, "From the chat")
    expect(view.locator(".pnb-text")).to_have_count(2)
    expect(view.locator(".pnb-status")).to_have_text("idle")
    expect(notebook.cell(4).locator(".pnb-behind")).to_contain_text("From the chat")
    expect(notebook.cell(4).locator(".pnb-behind")).to_be_hidden()
    notebook.save()
    notebook.reopen(keep_kernel=True)
    expect(view.locator(".pnb-prompt")).to_have_count(2)
    say(view, "After it was opened again")
    expect(view.locator(".pnb-text")).to_have_count(3)


@pytest.mark.parametrize("reloads", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_what_was_said_before_is_there_once_somebody_looks(page: Page, fill: Fill, reloads: bool) -> None:
    """In a chat, and in one that another widget holds."""
    harm = "<img src=x onerror=window.harmed=1>"
    with HostedServer() as server:
        agents = [an_agent(server) for _ in range(2)]
        for agent in agents:
            server.script([builtin_tool("bash", {"command": f"ls {harm}"}, result=harm), text("one")])
            for prompt in ("one", f"**two**{harm}"):
                play(agent, prompt)
        address = {"ANTHROPIC_API_KEY": server.api_key, "ANTHROPIC_BASE_URL": server.url}
        sessions = [agent.session_id for agent in agents]
        cells = [
            f"import os, ipywidgets, praison_nb\nos.environ.update({address!r})",
            f"chats = []\nfor session in {sessions!r}:\n    b = praison_nb.HostedAgent()\n"
            "    b.resume_session(session)\n    chats.append(praison_nb.chat(b))",
            "chats[0]",
            "ipywidgets.VBox([chats[1]])",
        ]
        notebook = fill(cells)
        notebook.run(2)
        notebook.run(3)
        notebook.wait_idle(3)
        for index, session in ((4, sessions[0]), (5, sessions[1])):
            before = len(server.requests)
            notebook.run(index)
            view = notebook.view(index)
            expect(view.locator(".pnb-prompt")).to_have_count(2)
            expect(view.locator(".pnb-prompt").nth(1)).to_contain_text(f"**two**{harm}")
            expect(view.locator(".pnb-text strong")).to_have_text("two")
            expect(view.locator(".pnb-tool summary")).to_have_text(f"bashls {harm}")
            view.locator(".pnb-tool summary").click()
            expect(view.get_by_label("result")).to_have_text(harm)
            asked = [(each.method, each.path) for each in server.requests[before:] if session in each.path]
            # Those who played may still look at the session's books.
            asked = [each for each in asked if each != ("GET", f"/v1/sessions/{session}")]
            assert asked == [("GET", f"/v1/sessions/{session}/events")]
            say(view, "three")
            expect(view.locator(".pnb-prompt")).to_have_count(3)
            expect(view.locator(".pnb-text")).to_have_count(3)
            expect(view.locator(".pnb-status")).to_have_text("idle")
        if reloads:
            notebook.save()
            notebook.open()
        for index in (4, 5) if reloads else ():
            view = notebook.view(index)
            expect(view.locator(".pnb-prompt")).to_have_count(3)
            say(view, "four")
            expect(view.locator(".pnb-text")).to_have_count(4)
        assert page.evaluate("window.harmed") is None


MANY = """
from praison_nb.events import SessionAttached, TextDelta
class Many(type(scripted())):
    async def events(self, prompt, session, run):
        yield SessionAttached(session_id="many")
        yield TextDelta(text=f"Answer to **{prompt}** with some words more.", message_id="m")
b = Many([], model="many")
"""


AT_END = """() => {
    const list = document.querySelector(".pnb-list");
    return list.scrollTop > 0 && list.scrollHeight - list.scrollTop - list.clientHeight < 40;
}"""


@pytest.mark.parametrize("turns", [100, pytest.param(500, marks=pytest.mark.slow)])
def test_hundreds_of_messages_stay_fast(page: Page, fill: Fill, turns: int) -> None:
    cells = [
        MANY,
        "import praison_nb\nw = praison_nb.chat(b)\nsent = []\nreal = w.send\n"
        # But for the panel, of which there are as many as there is time for.
        "size = lambda message: len(json.dumps({**message, 'panel': 0}))\n"
        "w.send = lambda message, *rest: (sent.append(size(message)), real(message, *rest))[1]",
        "import json\nfrom praison_nb.notebook import _loaded\n"
        "conversations = next(iter(_loaded.values())).conversations\n"
        f"for i in range({turns}):\n"
        "    conversations.begin(w._conversation, f'question {i}', caller_waits=False)\n"
        "w.runs[-1].wait()\nw",
        "sum(sent), max(sent)",
    ]
    notebook = fill(cells)
    for index in (2, 3, 4):
        notebook.run(index)
    view = notebook.view(4)
    expect(view.locator(".pnb-prompt")).to_have_count(turns)
    expect(view.locator(".pnb-text")).to_have_count(turns)
    page.wait_for_function(AT_END)
    assert (
        page.evaluate("getComputedStyle(document.querySelector('.pnb-list > *')).contentVisibility") == "auto"
    )
    notebook.run(5)
    notebook.wait_idle(5)
    # What is out of sight is in the page, but not laid out.
    everything = view.locator(".pnb-list").text_content() or ""
    first = eval(notebook.outputs(5)[0]["data"]["text/plain"])
    assert len(everything) < first[0] < turns * 600, "each message goes over the wire once, in its HTML"
    say(view, "one more")
    expect(view.locator(".pnb-text")).to_have_count(turns + 1)
    page.wait_for_function(AT_END)
    expect(view.locator(".pnb-status")).to_have_text("idle")
    notebook.run(5)
    page.wait_for_function(
        "before => { const o = jupyterapp.shell.currentWidget.content.widgets[5].model.outputs; "
        "return o.length && o.get(0).data['text/plain'] !== before; }",
        arg=str(first),
    )
    after = eval(notebook.outputs(5)[0]["data"]["text/plain"])
    assert after[0] - first[0] < 5000, "only what is new goes over the wire"


@pytest.mark.slow(reason="a long answer")
def test_the_end_of_an_answer_that_comes_at_once_is_shown(fill: Callable[[list[str]], Notebook]) -> None:
    """Its height is known only when it is in the page."""
    lines = "saying('\\n\\n'.join(f'Line {i}' for i in range(80)))"
    notebook = fill([f"import praison_nb\npraison_nb.chat({lines})"])
    notebook.run(2)
    view = notebook.view(2)
    field = view.get_by_role("textbox", name="Message")
    field.fill("Go")
    field.press("Enter")
    expect(view).to_contain_text("Line 79")
    notebook._wait_for(
        "() => [...document.querySelectorAll('.pnb-list')].some(each => "
        "each.scrollTop > 100 && each.scrollTop + each.clientHeight > each.scrollHeight - 5)"
    )
