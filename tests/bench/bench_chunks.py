"""What a streamed chunk costs the kernel's process, beside a loop over the maker's SDK that only reads: CPU
of an answer of 5,000 chunks less that of one chunk, on each wire, and of the hosted agent's events."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from harness import MeasuredKernel, Row, Servers, in_turns, servers

CHUNKS = 5_000


@dataclass(frozen=True)
class Wire:
    """`stream` is what the SDK is asked for, `text` what an `event` of it has."""

    what: str
    client: str
    stream: str
    text: str
    agent: str


_LOCAL = 'LocalAgent(LocalAgentConfig(model={model!r}, wire={wire!r}, base_url="{models}/v1", api_key="k"))'
WIRES = (
    Wire(
        "chunk, chat completions",
        'openai.AsyncOpenAI(base_url="{models}/v1", api_key="k")',
        'client.chat.completions.create(model="gpt-4o-mini", messages=messages, stream=True, '
        'stream_options={"include_usage": True})',
        "event.choices and event.choices[0].delta.content",
        _LOCAL.replace("{model!r}", '"gpt-4o-mini"').replace("{wire!r}", '"chat"'),
    ),
    Wire(
        "chunk, Responses",
        'openai.AsyncOpenAI(base_url="{models}/v1", api_key="k")',
        'client.responses.create(model="gpt-4o-mini", input=messages, stream=True, store=False)',
        'event.type == "response.output_text.delta" and event.delta',
        _LOCAL.replace("{model!r}", '"gpt-4o-mini"').replace("{wire!r}", '"responses"'),
    ),
    Wire(
        "chunk, Messages",
        'anthropic.AsyncAnthropic(base_url="{models}", api_key="k")',
        'client.messages.create(model="claude-sonnet-4-5", max_tokens=9999, messages=messages, stream=True)',
        'event.type == "content_block_delta" and event.delta.text',
        _LOCAL.replace("{model!r}", '"claude-sonnet-4-5"').replace("{wire!r}", '"messages"'),
    ),
    Wire(
        "event, hosted agent",
        'anthropic.AsyncAnthropic(base_url="{hosted}", api_key="{key}")',
        "hosted_events(client, messages)",
        'event.type == "event_delta" and event.delta.content.text',
        'HostedAgent(HostedAgentConfig(model="claude-sonnet-4-5", base_url="{hosted}", api_key="{key}"))',
    ),
)
SETUP = """
import anthropic, openai
from praison_nb import Agent, HostedAgent, HostedAgentConfig, LocalAgent, LocalAgentConfig

hosted_session = None

async def hosted_events(client, messages):
    global hosted_session
    beta = client.beta
    if hosted_session is None:
        agent = await beta.agents.create(name="bare", model="claude-sonnet-4-5")
        environment = await beta.environments.create(name="bare", config={"type": "cloud"})
        hosted_session = await beta.sessions.create(agent=agent.id, environment_id=environment.id)
    return events_of_a_turn(beta.sessions.events, hosted_session.id, messages[0]["content"])

async def events_of_a_turn(events, session, prompt):
    async with await events.stream(session, event_deltas=["agent.message"]) as stream:
        content = [{"type": "text", "text": prompt}]
        await events.send(session, events=[{"type": "user.message", "content": content}])
        async for event in stream:
            yield event
            if event.type == "session.status_idle":
                return
"""
WIRE = """
client = CLIENT
agent = Agent("bench", AGENT)

async def bare(prompt):
    messages, count = [{"role": "user", "content": prompt}], 0
    async for event in await STREAM:
        if text := TEXT:
            count += len(text)
    return count

async def ours(prompt):
    agent.backend.reset_session()
    return len(await agent.astart(prompt))
"""


def rows() -> Iterator[Row]:
    with servers() as where, MeasuredKernel() as kernel:
        kernel.do(SETUP)
        for wire in WIRES:
            yield _row(kernel, where, wire)


def _row(kernel: MeasuredKernel, where: Servers, wire: Wire) -> Row:
    parts = {
        "CLIENT": wire.client.format(**vars(where)),
        "AGENT": wire.agent.format(**vars(where)),
        "STREAM": wire.stream,
        "TEXT": wire.text,
    }
    code = WIRE
    for name, part in parts.items():
        code = code.replace(name, part)
    kernel.do(code)

    def cpu_of_a_chunk(who: str) -> float:
        cpu = [
            kernel.measure(f"assert await {who}('{count} chunks') == {4 * count}").cpu
            for count in (1, CHUNKS)
        ]
        return (cpu[1] - cpu[0]) / (CHUNKS - 1) * 1e6

    found = in_turns({who: lambda who=who: cpu_of_a_chunk(who) for who in ("bare", "ours")})
    bare, ours = (statistics.median(found[who]) for who in ("bare", "ours"))
    work = f"CPU of a streamed {wire.what}"
    return Row(work, "µs", ours, bare, beside=wire.client.partition("(")[0], share=0.4)
