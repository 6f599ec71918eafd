"""What holds for the package as a whole."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import praison_nb

PACKAGE = Path(praison_nb.__file__).parent

# Imports go from right to left only.
ROOMS = [
    ["plain", "formulas", "markdown_rules", "markdown", "redaction", "lookalikes", "visible", "review"],
    ["errors", "session", "events"],
    ["turn", "turn_json", "render", "managed", "tools", "values"],
    ["storage"],
    ["usage", "store"],
    ["store"],
    ["loop", "interrupts", "user_loop", "observable"],
    ["lend", "verdicts", "circles", "run"],
    ["toolbox"],
    ["backends"],
    ["agent"],
    ["notebook"],
    ["__init__"],
]
RANK = {room: rank for rank, rooms in enumerate(ROOMS) for room in rooms}


def imports() -> Iterator[tuple[str, str, int, str]]:
    """Each import of ours as (room, room imported, level of nesting, where)."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        tree = ast.parse(path.read_text())
        typing_only = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
            for inner in ast.walk(node)
        }
        for node in ast.walk(tree):
            if not isinstance(node, ast.ImportFrom) or not node.level or id(node) in typing_only:
                continue
            base = parts[: len(parts) - node.level] if node.level <= len(parts) else ()
            module = node.module.split(".") if node.module else []
            for alias in node.names:
                target = [*base, *module, alias.name]
                yield parts[0], target[0], node.level, f"{path.relative_to(PACKAGE)}:{node.lineno}"


def test_imports_go_one_way() -> None:
    found = list(imports())
    assert len(found) > 50
    wrong = [where for room, target, _, where in found if RANK[target] > RANK[room]]
    assert wrong == []


def test_every_room_is_ranked() -> None:
    rooms = {path.relative_to(PACKAGE).with_suffix("").parts[0] for path in PACKAGE.rglob("*.py")}
    assert rooms == set(RANK)


def test_the_public_names() -> None:
    assert praison_nb.__all__ == [
        "__version__",
        "load_ipython_extension",
        "unload_ipython_extension",
        "Agent",
        "AnthropicManagedAgent",
        "HostedAgent",
        "HostedAgentConfig",
        "LocalAgent",
        "LocalAgentConfig",
        "LocalManagedAgent",
        "LocalManagedConfig",
        "ManagedAgent",
        "ManagedBackendProtocol",
        "ManagedConfig",
        "PraisonError",
        "ScriptedBackend",
        "SessionBrowser",
        "SessionInfo",
        "SessionWidget",
        "StatusBadge",
        "Turn",
        "Usage",
        "UsagePanel",
        "chat",
        "reconcile",
        "register",
        "sessions",
        "usage",
    ]
    for name in praison_nb.__all__:
        assert getattr(praison_nb, name) is not None
        assert name in dir(praison_nb)
    with pytest.raises(AttributeError, match="nothing_of_ours"):
        praison_nb.nothing_of_ours  # noqa: B018


HEAVY = ["anthropic", "openai", "pandas", "anywidget", "ipywidgets", "pydantic", "genai_prices", "httpx"]


@pytest.mark.parametrize(
    "statement", ["import praison_nb", "from praison_nb.managed import ManagedBackendProtocol"]
)
def test_importing_loads_nothing_heavy(statement: str) -> None:
    code = f"{statement}\nimport sys\nprint([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_loading_the_extension_imports_no_sdk_and_opens_no_socket() -> None:
    code = f"""
import sys
from IPython.core.interactiveshell import InteractiveShell
import IPython.core.interactiveshell
shell = InteractiveShell.instance()
opened = []
sys.addaudithook(lambda event, args: opened.append(event) if event.startswith("socket.") else None)
shell.run_line_magic("load_ext", "praison_nb")
print(opened, [m for m in {HEAVY} if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] []"


def test_nothing_prints() -> None:
    calls = [
        f"{path.name}:{node.lineno}"
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert calls == []
