"""Environments of their own, made by uv."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def uv(*arguments: str | Path) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("uv"), "--quiet", *arguments], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def build_wheel(folder: Path) -> Path:
    """The package as it would be published."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


def install(folder: Path, python: str, *packages: str | Path) -> Path:
    """A new environment with these packages; returns its Python."""
    uv("venv", "--python", python, folder)
    uv("pip", "install", "--python", folder / "bin" / "python", *packages)
    return folder / "bin" / "python"


def without_source() -> dict[str, str]:
    """The process's variables, but for those by which another Python would find this source tree."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
