"""What holds for the package as a whole."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import praison_nb

PACKAGE = Path(praison_nb.__file__).parent


def test_the_public_names() -> None:
    assert praison_nb.__all__ == [
        "__version__",
        "load_ipython_extension",
        "unload_ipython_extension",
        "Agent",
        "AnswerFile",
        "AnthropicManagedAgent",
        "HostedAgent",
        "HostedAgentConfig",
        "LocalAgent",
        "LocalAgentConfig",
        "LocalManagedAgent",
        "LocalManagedConfig",
        "ManagedAgent",
        "ManagedBackendConfig",
        "ManagedBackendProtocol",
        "ManagedConfig",
        "NetworkingConfig",
        "NetworkingType",
        "PackagesConfig",
        "Plan",
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
        "compare",
        "map",
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


def test_the_extension_comes_in_the_wheel(tmp_path: Path) -> None:
    """Under the package's version, which its address has: browsers keep what they have loaded."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path]
    subprocess.run(command, cwd=PACKAGE.parent, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    folder = f"praison_nb-{praison_nb.__version__}.data/data/share/jupyter/labextensions/praison-nb/"
    names = [name for name in zipfile.ZipFile(wheel).namelist() if name.startswith(folder)]
    source = PACKAGE / "notebook" / "labextension"
    files = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    assert {name.removeprefix(folder) for name in names} == files
    about = json.loads((source / "package.json").read_text())
    load, _, version = about["jupyterlab"]["_build"]["load"].partition("?v=")
    assert about["version"] == version == praison_nb.__version__ and load in files
