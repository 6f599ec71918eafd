"""GGUF files of the Hugging Face Hub, fetched by its real library from a Hub on this machine."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import psutil
import pytest

from praison_nb import LocalAgent, LocalAgentConfig
from praison_nb.backends.embedded import hub as embedded_hub
from praison_nb.backends.embedded.fetch import SMOLLM2
from praison_nb.backends.embedded.hub import fetch
from praison_nb.backends.embedded.hub_fetch import Refusal, choose, quant_of
from praison_nb.errors import EmbeddedModelError
from praison_nb.events import Activity
from servers.hub import REPO, Hub

pytest.importorskip("huggingface_hub", reason='pip install "praison-nb[hf]"')

# The library hands on ten megabytes at a time.
TINY = random.Random(0).randbytes(25_000_000)
HALF = 15_000_000
MODEL = f"hf:{REPO}"
FILES = {"README.md": b"#", "tiny-Q4_K_M.gguf": TINY, "tiny-Q8_0.gguf": b"GGUF8", "mmproj-F16.gguf": b"GGUF"}


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What a kernel remembers of files is of one test."""
    embedded_hub._fetched.clear()
    yield
    embedded_hub._fetched.clear()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with Hub(FILES) as server:
        server.use(monkeypatch, tmp_path)
        yield server


async def fetched(model: str = MODEL) -> tuple[list[str], Path]:
    *activities, path = [step async for step in fetch(model)]
    assert isinstance(path, Path)
    return [step.text for step in activities if isinstance(step, Activity)], path


async def refused(model: str = MODEL) -> str:
    with pytest.raises(EmbeddedModelError) as caught:
        await fetched(model)
    line = str(caught.value)
    assert "\n" not in line and "://" not in line and "s3cret" not in line
    return line


def left_over(home: Path) -> list[Path]:
    return [path for path in home.rglob("*.praison_nb.part*") if path.suffix != ".lock"]


async def test_the_usual_quantization_is_fetched_with_progress(hub: Hub, tmp_path: Path) -> None:
    texts, path = await fetched()
    assert path.name == "tiny-Q4_K_M.gguf" and path.read_bytes() == TINY
    assert texts[0] == "looking for the model" and texts[-1] == "checking the model"
    assert texts[1:-1] == [f"fetching the model: {done} of 25 MB" for done in (10, 21, 25)]
    assert path.is_relative_to(tmp_path / "hub") and not left_over(tmp_path)
    # Once more in this kernel, and in the next one.
    asked = len(hub.requests)
    assert await fetched() == ([], path) and len(hub.requests) == asked
    embedded_hub._fetched.clear()
    assert (await fetched())[1] == path and hub.ranges == [""]


async def test_the_quantization_that_is_asked_for(hub: Hub) -> None:
    assert (await fetched(f"{MODEL}:q8_0"))[1].read_bytes() == b"GGUF8"
    assert "name one of its models: Q4_K_M, Q8_0." in await refused(f"{MODEL}:Q2_K")


async def test_a_cut_download_goes_on_from_there(hub: Hub, tmp_path: Path) -> None:
    hub.cut_at(HALF)
    _, path = await fetched()
    assert path.read_bytes() == TINY and not left_over(tmp_path)
    assert hub.ranges[0] == "" and hub.ranges[1].startswith("bytes=") and len(hub.ranges) == 2


async def test_a_stopped_download_goes_on_from_there(hub: Hub, tmp_path: Path) -> None:
    pause = hub.pause_at(HALF)
    async with aclosing(fetch(MODEL)) as steps:
        async for step in steps:
            if isinstance(step, Activity) and step.text == "fetching the model: 10 of 25 MB":
                break
    assert not [child for child in psutil.Process().children() if "hub_fetch" in " ".join(child.cmdline())]
    pause.open()
    (part,) = left_over(tmp_path)
    size = part.stat().st_size
    assert size > 10_000_000
    _, path = await fetched()
    assert path.read_bytes() == TINY and hub.ranges == ["", f"bytes={size}-"]
    assert not left_over(tmp_path)


async def test_a_file_that_is_not_the_right_one_is_not_used(hub: Hub, tmp_path: Path) -> None:
    pause = hub.pause_at(HALF)
    async with aclosing(fetch(MODEL)) as steps:
        async for step in steps:
            if isinstance(step, Activity) and step.text == "fetching the model: 10 of 25 MB":
                break
    pause.open()
    (part,) = left_over(tmp_path)
    part.write_bytes(bytes(part.stat().st_size))
    assert "SHA-256" in await refused()
    assert (await fetched())[1].read_bytes() == TINY


async def test_who_comes_second_waits_for_the_first(hub: Hub) -> None:
    pause = hub.pause_at(HALF)
    first = asyncio.create_task(fetched())
    await hub.until(lambda: pause.reached)
    texts = []
    async with aclosing(fetch(MODEL)) as steps:
        async for step in steps:
            if isinstance(step, Activity):
                texts.append(step.text)
                if step.text.startswith("waiting"):
                    pause.open()
            else:
                assert step == (await first)[1]
    assert texts == ["looking for the model", "waiting: the model is being fetched already"]
    assert len(hub.downloads) == 1


async def test_a_split_model_comes_whole(hub: Hub) -> None:
    hub.files = {f"big/x-Q4_K_M-0000{n}-of-00003.gguf": bytes([n]) * 500_000 for n in (1, 2, 3)}
    texts, path = await fetched()
    assert path.name == "x-Q4_K_M-00001-of-00003.gguf" and path.parent.name == "big"
    assert [part.read_bytes()[0] for part in sorted(path.parent.iterdir())] == [1, 2, 3]
    assert "fetching the model: 2 of 2 MB" in texts
    del hub.files["big/x-Q4_K_M-00002-of-00003.gguf"]
    embedded_hub._fetched.clear()
    assert "2 of the 3 parts" in await refused()


async def test_without_the_hub_what_was_fetched_before_is_used(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "was not fetched before" in await offline(monkeypatch)
    _, path = await fetched()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    embedded_hub._fetched.clear()
    assert (await fetched())[1] == path
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nothing listens there
    embedded_hub._fetched.clear()
    assert (await fetched())[1] == path
    embedded_hub._fetched.clear()
    assert "cannot be reached" in await refused(f"{MODEL}:Q8_0")


async def offline(monkeypatch: pytest.MonkeyPatch) -> str:
    with monkeypatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        return await refused()


@pytest.mark.parametrize("gated", [False, True])
async def test_a_key_of_the_hub_goes_to_the_hub_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, gated: bool
) -> None:
    with Hub(FILES, token="hf_s3cret", gated=gated) as hub:
        hub.use(monkeypatch, tmp_path)
        assert "HF_TOKEN" in await refused()
        monkeypatch.setenv("HF_TOKEN", "hf_s3cret")
        assert (await fetched())[1].read_bytes() == TINY
        assert [each.headers.get("Authorization") for each in hub.downloads] == [None]


async def test_what_the_hub_does_not_have(hub: Hub) -> None:
    assert "no such repository, or it is private" in await refused("hf:nobody/nothing")
    hub.files = {"README.md": b"#"}
    assert "no GGUF file" in await refused()
    hub.refuse(100, status=500)
    assert "status 500" in await refused()


@pytest.mark.parametrize("model", ["hf:", "hf:owner", "hf:a/b/c", "hf:a/b:", "hf:../x y"])
async def test_a_name_that_is_none(model: str) -> None:
    assert "Say hf:OWNER/REPO" in await refused(model)


def test_quantizations_by_their_names() -> None:
    assert [quant_of(name) for name in ("a.gguf", "a.Q4_1.gguf", "Q8_0/x-f16.gguf", "a-MXFP4_MOE.gguf")] == [
        "",
        "Q4_1",
        "f16",
        "MXFP4_MOE",
    ]
    usual, ud = "a-Q4_K_M.gguf", "a-UD-Q4_K_M.gguf"
    assert choose([usual, ud], "") == [usual] and choose([usual, ud], "UD-Q4_K_M") == [ud]
    assert choose(["only.gguf"], "") == ["only.gguf"] == choose(["only.gguf", "b-Q8_0.gguf"], "only")
    assert choose([usual, "b-Q8_0.gguf"], usual) == [usual]
    with pytest.raises(Refusal, match="a-Q4_K_M, b-Q4_K_M"):
        choose([usual, "b-Q4_K_M.gguf"], "")
    with pytest.raises(Refusal, match="Q2_K, Q8_0"):
        choose(["a-Q2_K.gguf", "a-Q8_0.gguf"], "")


async def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_hub, "find_spec", lambda name: None)
    assert 'pip install "praison-nb[hf]"' in await refused()


def test_a_model_of_the_hub_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PRAISON_NB_CACHE", raising=False)
    asyncio.run(fetch_the_embedded_model())
    with Hub({"smol-Q4_1.gguf": SMOLLM2.path.read_bytes()}) as hub:
        hub.use(monkeypatch, tmp_path)
        agent = LocalAgent(LocalAgentConfig(model=MODEL, options={"max_tokens": 5}))
        turn = agent.begin("Say hello.").wait()
    assert turn.error is None and turn.text and turn.usage.output_tokens <= 5
    assert (turn.backend, turn.model) == ("embedded", "smol-Q4_1")


async def fetch_the_embedded_model() -> None:
    from praison_nb.backends.embedded.fetch import fetch as fetch_model

    async for _ in fetch_model(SMOLLM2):
        pass
