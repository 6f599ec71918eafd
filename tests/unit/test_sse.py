"""Whatever bytes come, and however they are cut, what can be read of them is read."""

from __future__ import annotations

import json
import random
import time
import tracemalloc
from typing import Any

import pytest

from praison_nb.backends import sse
from praison_nb.backends.sse import Parser

A = {"choices": [{"delta": {"content": "größe \u2028 🐍"}}]}
B = {"choices": [{"delta": {"content": "two"}, "finish_reason": "stop"}], "usage": {"total_tokens": 3}}


def text_of(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def event(value: object, before: bytes = b"", end: bytes = b"\n") -> bytes:
    return before + b"data: " + text_of(value) + end + end


def read(*pieces: bytes) -> tuple[Parser, list[dict[str, Any]]]:
    parser = Parser()
    found = [each for piece in pieces for each in parser.feed(piece)]
    return parser, found + parser.close()


DONE = b"data: [DONE]\n\n"
STREAMS = {
    "plain": event(A) + event(B) + DONE,
    "CRLF": event(A, end=b"\r\n") + event(B, end=b"\r\n") + DONE,
    "CR": event(A, end=b"\r") + event(B, end=b"\r") + b"data: [DONE]\r\r",
    "mixed ends": event(A, end=b"\r\n") + event(B, end=b"\r") + DONE,
    "BOM": b"\xef\xbb\xbf" + event(A) + event(B) + DONE,
    "comments": b": OPENROUTER PROCESSING\n\n" + event(A) + b":\n\n: keep-alive\n\n" + event(B) + DONE,
    "retry and ids": b"retry: 3000\n\n" + event(A, b"id: 1\n") + event(B, b"id: 2\nretry: 1\n") + DONE,
    "pings": b"event: ping\n\n" + event(A) + b"event: ping\ndata:\n\ndata: \n\n" + event(B) + DONE,
    "values that are no events": b'data: null\n\ndata: "ping"\n\n'
    + event(A)
    + b"data: []\n\n"
    + event(B)
    + DONE,
    "words": b"data: ping\n\n" + event(A) + b"data: \xff\xfe\n\n" + event(B) + DONE,
    "no space": event(A).replace(b"data: ", b"data:") + event(B) + b"data:[DONE]\n\n",
    "more space": event(A).replace(b"data: ", b"  data:   ") + event(B) + DONE,
    "no blank lines": b"data: " + text_of(A) + b"\ndata: " + text_of(B) + b"\ndata: [DONE]\n",
    "no end": event(A) + b"data: " + text_of(B),
    "no end of line": event(A) + event(B) + b"data: [DONE]",
    "lists": b"data: " + text_of([A, B]) + b"\n\n" + DONE,
    "several lines": b"data: "
    + json.dumps(A, indent=1, ensure_ascii=False).encode().replace(b"\n", b"\ndata: ")
    + b"\n\n"
    + event(B)
    + DONE,
    "fields nobody knows": b"foo: bar\nbaz\n" + event(A) + event(B) + DONE,
    "NDJSON": text_of(A) + b"\n\n" + text_of(B) + b"\n",
    "a list in a body": json.dumps([A, B], indent=1, ensure_ascii=False).encode(),
}


@pytest.mark.parametrize("raw", STREAMS.values(), ids=STREAMS)
def test_every_form_of_a_stream_wherever_it_is_cut(raw: bytes) -> None:
    for pieces in ([raw], [raw[at : at + 1] for at in range(len(raw))]):
        parser, found = read(*pieces)
        assert found == [A, B]
        assert not parser.is_damaged
    for at in range(len(raw)):
        assert read(raw[:at], b"", raw[at:])[1] == [A, B], at


@pytest.mark.parametrize("name", ["plain", "no blank lines", "no end of line", "CR"])
def test_the_server_says_that_this_is_all(name: str) -> None:
    parser, _ = read(STREAMS[name])
    assert parser.is_done and not parser.is_whole
    assert parser.feed(event(A)) == [] and parser.close() == []


def test_a_stream_that_only_ends_is_not_done() -> None:
    assert not read(event(A))[0].is_done
    assert not read(STREAMS["NDJSON"])[0].is_done


@pytest.mark.parametrize(
    "kind", ["message_stop", "response.completed", "response.incomplete", "response.failed"]
)
def test_the_last_event_of_other_apis_is_the_end(kind: str) -> None:
    parser = Parser()
    assert parser.feed(event({"type": "ping"})) and not parser.is_done
    assert parser.feed(event({"type": kind}, b"event: " + kind.encode() + b"\n")) == [{"type": kind}]
    assert parser.is_done


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n\r\n"])
def test_one_json_text_in_place_of_a_stream(indent: int | None, end: bytes) -> None:
    raw = b" \n" + json.dumps(B, indent=indent).encode() + end
    for pieces in ([raw], [raw[at : at + 1] for at in range(len(raw))]):
        parser, found = read(*pieces)
        assert found == [B] and parser.is_whole and parser.is_done


def test_an_event_has_the_type_that_its_name_says() -> None:
    raw = b'event: message_start\ndata: {"message": 1}\n\nevent: error\ndata: {"message": "no"}\n\n'
    raw += b'event: error\ndata: {"type": "error", "error": 1}\n\nevent: error\ndata: upstream is gone\n\n'
    raw += b'data: {"plain": 1}\n\n'
    assert read(raw)[1] == [
        {"type": "message_start", "message": 1},
        {"error": {"message": "no"}},
        {"type": "error", "error": 1},
        {"error": "upstream is gone"},
        {"plain": 1},
    ]


def test_json_as_programs_write_it() -> None:
    raw = b'data: {"a": NaN, "b": "line\tend"}\n\n' + b'data: {"s": "\\ud83d"}\n\n'
    assert read(raw)[1] == [{"a": None, "b": "line\tend"}, {"s": "\ud83d"}]


@pytest.mark.parametrize(
    "damaged", [b'{"choices": [{"de', b"{not json}", b"[" * 100_000, b'{"n": ' + b"9" * 5000 + b"}"]
)
def test_a_damaged_event_is_known_and_the_others_stay(damaged: bytes) -> None:
    parser, found = read(event(A) + b"data: " + damaged + b"\n\n" + event(B) + DONE)
    assert found == [A, B] and parser.is_damaged and parser.is_done
    assert parser.excerpt.startswith(damaged[:10].decode()) and len(parser.excerpt) <= 2000


@pytest.mark.parametrize(
    "raw", [b"<!doctype html><p>Sign in", b"<html>\n<body>\ndown\n</body>", b"upstream connect error"]
)
def test_what_is_no_stream_is_kept_as_an_excerpt(raw: bytes) -> None:
    parser, found = read(raw)
    assert found == [] and parser.excerpt == raw.decode() and not parser.is_done and not parser.is_damaged


def test_a_long_line_in_many_pieces_takes_linear_time() -> None:
    raw = event({"a": "x" * 30_000_000})
    began = time.process_time()
    _, found = read(*(raw[at : at + 500] for at in range(0, len(raw), 500)))
    # Copied at each piece it would be minutes.
    assert len(found[0]["a"]) == 30_000_000 and time.process_time() - began < 10


@pytest.mark.parametrize("raw", [b"data: {", b": ", b"{", b"<p>", b"foo"])
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch, raw: bytes, end: bytes) -> None:
    monkeypatch.setattr(sse, "MOST_BYTES", 100_000)
    parser = Parser()
    tracemalloc.start()
    try:
        parser.feed(event(A) + raw)
        for _ in range(20_000):
            parser.feed(b"x" * 500 + end)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()
    assert parser.feed(b"\n\n" + event(B)) == [B]


@pytest.mark.parametrize("line", [b"data:\n", b"x\n", b"{\n"])
def test_memory_is_bounded_for_many_short_lines(monkeypatch: pytest.MonkeyPatch, line: bytes) -> None:
    monkeypatch.setattr(sse, "MOST_BYTES", 100_000)
    parser = Parser()
    tracemalloc.start()
    try:
        for _ in range(100):
            parser.feed(line * 1000)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def mutated(raw: bytes, rng: random.Random) -> bytes:
    pieces = bytearray(raw)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(pieces) + 1)
        match rng.randrange(4):
            case 0:
                del pieces[at : at + rng.randint(1, 20)]
            case 1:
                pieces[at:at] = rng.choice(
                    [b"\r", b"\n", b"\n\n", b"data:", b"\xff", b"{", b"event: x\n", b"\x00"]
                )
            case 2:
                pieces[at:at] = raw[rng.randrange(len(raw)) :][: rng.randint(1, 60)]
            case _:
                del pieces[at:]
    return bytes(pieces)


@pytest.mark.parametrize("seed", range(4))
def test_nothing_that_comes_raises_and_the_cut_does_not_matter(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(500):
        raw = mutated(rng.choice(list(STREAMS.values())), rng)
        _, whole = read(raw)
        at, other = sorted(rng.randrange(len(raw) + 1) for _ in range(2))
        assert read(raw[:at], raw[at:other], raw[other:])[1] == whole, raw
