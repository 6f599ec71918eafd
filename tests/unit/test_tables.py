from __future__ import annotations

from types import SimpleNamespace

from praison_nb.notebook.views.tables import as_html, as_text, table
from praison_nb.render.panel import Badge
from praison_nb.session import Status

HEADERS = ["name", "status", "count"]
ROWS = [
    ["a", Badge(Status.RUNNING, waiting=True), "1,204"],
    ["long\x1b[2Jer", Badge(Status.IDLE), "7"],
]


def test_columns_hold_whatever_the_cells_say() -> None:
    assert as_text(HEADERS, ROWS, ["count"]).splitlines() == [
        "name       status                     count",
        "a          running · waiting for you  1,204",
        "long[2Jer  idle                           7",
    ]


def test_bars_stand_behind_their_rows() -> None:
    assert as_text(["x"], [["a"], ["b"]], [], [1.0, 0.5]).splitlines() == ["x", "a  ██████████", "b  █████"]
    assert as_html(["x"], [["a"]], [], [0.5]).count("width: 50%") == 1


def test_a_bar_may_be_a_share_of_something_else_than_the_greatest() -> None:
    shown: list[dict[str, str]] = []
    shell = SimpleNamespace(display_pub=SimpleNamespace(publish=shown.append))
    table(shell, ["x"], [["a"], ["b"]], bars=[0.2, 1.1], full=1.0)
    assert shown[0]["text/plain"].splitlines() == ["x", "a  ██", "b  ██████████"]
    assert "width: 20%" in shown[0]["text/html"] and "width: 100%" in shown[0]["text/html"]


def test_html_has_the_badge_and_no_html_of_others() -> None:
    html = as_html(HEADERS, [["<b>\x1b", Badge(Status.IDLE, activity="<i>"), "1"]], ["count"])
    assert "● idle · &lt;i&gt;" in html and "&lt;b&gt;</td>" in html
    assert 'align: right">1</td>' in html and 'align: left">name</th>' in html
