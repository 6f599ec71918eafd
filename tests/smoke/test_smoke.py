"""`smoke.py` with the oldest and the newest of what praison_nb depends on, and with every Python here.

Each case is an environment of its own, made by uv, with the package as it would be published.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from servers.environments import ROOT, install, uv, without_source

SMOKE = Path(__file__).with_name("smoke.py")
REQUIRES = ("aiohttp", "jupyter-client", "ipykernel")
"""What `smoke.py` needs beside praison_nb."""
CASES = {
    "newest": (),
    "ipykernel 6.29": ("ipykernel==6.29.*",),
    "ipykernel 6.31": ("ipykernel==6.31.*",),
    "ipykernel 7.1": ("ipykernel==7.1.*",),
    "ipykernel 7.4": ("ipykernel==7.4.*",),
    "pandas 2": ("pandas==2.*",),
    "pandas 3": ("pandas==3.*",),
    "IPython 8 and openai 2": ("ipython==8.*", "openai==2.*"),
}
EXTRAS = ("local", "lab", "analysis")
PYTHONS = ("python3.11", "python3.12", "python3.13", "/usr/bin/python3")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def smoke(python: Path) -> None:
    done = subprocess.run(
        [python, SMOKE], cwd=python.parent, env=without_source(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "praison_nb works, from " in done.stdout and str(ROOT / "praison_nb") not in done.stdout


def lowest(folder: Path, *extras: str) -> Path:
    """A file with the lowest version of each thing that praison_nb and these extras name, for uv's `-c`."""
    pins = folder / "lowest.txt"
    chosen = [option for extra in extras for option in ("--extra", extra)]
    uv("pip", "compile", "--resolution", "lowest-direct", *chosen, ROOT / "pyproject.toml", "-o", pins)
    return pins


@pytest.mark.parametrize("case", CASES)
def test_versions(case: str, wheel: Path, tmp_path: Path) -> None:
    smoke(install(tmp_path / "env", sys.executable, wheel, *REQUIRES, *CASES[case]))


def test_lowest_versions(wheel: Path, tmp_path: Path) -> None:
    smoke(install(tmp_path / "env", sys.executable, wheel, *REQUIRES, "-c", lowest(tmp_path)))


def test_lowest_versions_with_extras(wheel: Path, tmp_path: Path) -> None:
    pins = lowest(tmp_path, *EXTRAS)
    python = install(tmp_path / "env", sys.executable, f"{wheel}[{','.join(EXTRAS)}]", *REQUIRES, "-c", pins)
    smoke(python)
    code = """
from praison_nb import usage

frame = usage(ledger=usage.example("ledger.sqlite", turns=50, days=9))
assert len(frame.agent.plot()._repr_png_()) > 10_000
"""
    subprocess.run([python, "-c", code], cwd=tmp_path, check=True, capture_output=True)


@pytest.mark.parametrize("python", PYTHONS)
def test_pythons(python: str, wheel: Path, tmp_path: Path) -> None:
    if not shutil.which(python) or subprocess.run([python, "--version"], capture_output=True).returncode:
        pytest.skip(f"no {python} here")
    smoke(install(tmp_path / "env", python, wheel, *REQUIRES))


@pytest.mark.parametrize("version", ["3.11.0", "3.12", "3.13"])
def test_every_python_can_meet_the_constraints(version: str, tmp_path: Path) -> None:
    chosen = ("-c", ROOT / "constraints.txt", "--all-extras", "-o", tmp_path / "all.txt")
    uv("pip", "compile", "--python-version", version, ROOT / "pyproject.toml", *chosen)


def test_a_missing_extra_is_one_line(wheel: Path, tmp_path: Path) -> None:
    python = install(tmp_path / "env", sys.executable, wheel)
    code = """
from IPython.core.interactiveshell import InteractiveShell

import praison_nb
from praison_nb.errors import PraisonError

shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "praison_nb")
embedded = praison_nb.LocalAgent(config=praison_nb.LocalAgentConfig(model="embedded"))
for use in (
    lambda: praison_nb.usage().agent.plot(),
    lambda: shell.run_line_magic("usage", "all --parquet turns.parquet"),
    lambda: praison_nb.Agent(backend=embedded).start("Hello"),
):
    try:
        use()
    except PraisonError as error:
        print(error)
"""
    env = {**os.environ, "PRAISON_NB_LEDGER": str(tmp_path / "ledger.sqlite")}
    done = subprocess.run(
        [python, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        "Pictures need matplotlib: pip install 'praison-nb[analysis]'.",
        "Parquet needs pyarrow: pip install 'praison-nb[analysis]', or write --csv.",
        'The embedded model needs xllamacpp: pip install "praison-nb[local]"',
    ]
