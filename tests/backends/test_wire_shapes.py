"""Every wire shape: tokens, cost, source and marks, the same in the turn, the panel and the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from bench.usage_table import BEGIN, END, table
from praison_nb import usage as ledger
from praison_nb.metering import writer
from praison_nb.money import mark_usd
from praison_nb.render.text import panel_text
from servers.wire_shapes import Shape, ShapeServer
from servers.wire_shapes_chat import CHAT
from servers.wire_shapes_other import MESSAGES, RESPONSES

SHAPES = [*CHAT, *RESPONSES, *MESSAGES]


@pytest.fixture(scope="module")
def server() -> Iterator[ShapeServer]:
    with ShapeServer() as running:
        yield running


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("PRAISON_NB_PRICES", str(tmp_path / "prices.json"))
    yield
    writer.current().close()


@pytest.mark.parametrize("shape", SHAPES, ids=[f"{shape.wire} {shape.name}" for shape in SHAPES])
def test_a_shape_is_read_right(server: ShapeServer, shape: Shape) -> None:
    turn = shape.agent(server).begin("What is 2+2?").wait()
    used = turn.usage
    read, written, output = (
        used.cache_read_input_tokens,
        used.cache_creation_input_tokens,
        used.output_tokens,
    )
    assert turn.text == "Four" and turn.error is None
    assert (read, written, output) == shape.tokens[1:]
    is_estimate = shape.tokens[0] is None
    assert 0 < used.input_tokens < 60 if is_estimate else used.input_tokens == shape.tokens[0]
    assert used.estimated or not is_estimate
    row = ledger(by="request").iloc[-1]
    assert row["cost_source"] == shape.source == turn.cost_sources[-1]
    if is_estimate:
        assert turn.cost and turn.estimated_cost == turn.cost
    else:
        assert turn.cost == shape.cost
    assert (turn.fees, turn.is_lower_bound) == (shape.fees, shape.is_lower_bound)
    if turn.cost is None:
        assert repr(row["cost"]) == "<NA>" and "cost —" in panel_text(turn)
    else:
        assert abs(Decimal(repr(float(row["cost"]))) - turn.cost) < Decimal("1e-9")
        estimated = bool(turn.estimated_cost)
        shown = mark_usd(turn.cost, estimated=estimated, is_lower_bound=turn.is_lower_bound)
        assert ("free, local" if shape.source == "local" else shown) in panel_text(turn)
        assert estimated == (used.estimated and shape.source != "provider")
    assert row["input_tokens"] == used.input_tokens and row["output_tokens"] == output
    assert row["estimated"] == used.estimated


def test_the_table_in_the_documentation_is_what_the_command_prints() -> None:
    page = (Path(__file__).parents[2] / "docs" / "usage.md").read_text("utf-8")
    assert page.partition(BEGIN)[2].partition(END)[0].strip() == table()
