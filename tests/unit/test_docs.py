"""What the documents say of the repository is so: the layers, paths, commands, links; and what is packed."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest
from IPython.core.inputtransformer2 import TransformerManager

import praison_nb
from praison_nb.notebook.arguments import parse_arguments
from praison_nb.notebook.magics import AgentMagics

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "praison_nb"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
MAKEFILE = (ROOT / "Makefile").read_text()


def test_the_drawing_is_the_contract_and_names_every_module() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    (drawing,) = re.findall(r"```text\n(.*?)```", text, re.DOTALL)
    drawn = [re.split(r"  +", line)[0] for line in drawing.splitlines()]
    (contract,) = (c for c in PROJECT["tool"]["importlinter"]["contracts"] if c["type"] == "layers")
    assert drawn == contract["layers"]
    modules = {path.stem for path in PACKAGE.glob("*.py")} | {
        path.parent.name for path in PACKAGE.glob("*/__init__.py")
    }
    assert sorted(re.split(r" \| |\n", "\n".join(drawn))) == sorted(modules - {"__init__"})


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_what_is_named_is_there(path: Path) -> None:
    text = path.read_text()
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert "://" in link or (path.parent / link).exists(), link
    for named in re.findall(r"`((?:praison_nb|tests|notebooks|docs|\.ci)/[\w./-]+)`", text):
        assert (ROOT / named).exists(), named
    for target in re.findall(r"`make ([\w-]+)`", text):
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target


def test_the_reference_has_every_public_name() -> None:
    documented = re.findall(r"^::: praison_nb\.(\w+)$", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE)
    # On the pages of their modules, or by its class.
    missing = {"__version__", "PraisonError", "ManagedBackendProtocol", "usage"}
    assert set(praison_nb.__all__) - set(documented) == missing
    assert {"errors", "events", "managed", "session", "turn"} <= set(documented)


def test_the_readme_names_every_notebook_and_every_document() -> None:
    readme = (ROOT / "README.md").read_text()
    for path in [*(ROOT / "notebooks").glob("*.ipynb"), *DOCUMENTS[1:]]:
        if path.name not in ("index.md", "api.md"):  # the site's own
            assert f"({path.relative_to(ROOT)})" in readme, path.name


def test_every_notebook_ends_with_links_to_the_others() -> None:
    notebooks = {path.name: path for path in (ROOT / "notebooks").glob("*.ipynb")}
    for name, path in notebooks.items():
        last = "".join(json.loads(path.read_text())["cells"][-1]["source"])
        links = set(re.findall(r"\]\(([^)]+)\)", last))
        assert notebooks.keys() - {name} <= links, name
        assert all((path.parent / link).exists() for link in links), name


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.name)
def test_every_notebook_has_cells_that_can_be_run_and_no_outputs(path: Path) -> None:
    """They are run by tests/kernel/test_notebooks.py, most of them by `make test-all` only."""
    transform = TransformerManager().transform_cell
    for cell in json.loads(path.read_text())["cells"]:
        if cell["cell_type"] != "code":
            continue
        source = "".join(cell["source"])
        assert cell["outputs"] == [] and cell["execution_count"] is None
        compile(transform(source), path.name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        for line in re.findall(r"^%%agent (.*)$", source, re.MULTILINE):
            parse_arguments(AgentMagics.agent, line)


def test_make_clean_removes_what_is_made_here(tmp_path: Path) -> None:
    made = {line for line in (ROOT / ".gitignore").read_text().split() if re.fullmatch(r"[\w.]+/", line)}
    for name in made:
        inside = tmp_path / ("notebooks" if name in ("__pycache__/", ".ipynb_checkpoints/") else "") / name
        (inside / "deeper").mkdir(parents=True)
    subprocess.run(["make", "-f", ROOT / "Makefile", "clean"], cwd=tmp_path, check=True, capture_output=True)
    assert len(made) > 7 and [path.name for path in tmp_path.rglob("*")] == ["notebooks"]


def test_hooks_need_no_download() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    assert re.findall(r"repo: (.*)", hooks) == ["local"]
    assert set(re.findall(r"language: (.*)", hooks)) == {"system"}


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a clone")
def test_the_sdist_has_every_file_of_the_repository(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        packed = {name.partition("/")[2] for name in files.getnames()}
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True)
    assert set(tracked.stdout.splitlines()) <= packed
