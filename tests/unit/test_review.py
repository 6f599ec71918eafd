"""What somebody who decides about a call is shown of it."""

from __future__ import annotations

import json
import time

import pytest

from praison_nb import review
from praison_nb.review import as_text, inline, one_line

REMOVE = "import os; os.system('rm -rf ~')"


def shown(**arguments: object) -> str:
    return review.arguments(json.dumps(arguments)).text


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (f"print('hello')\n{chr(10) * 400}{REMOVE}", f"  print('hello')\n  ⟦⋯ 400 empty lines⟧\n  {REMOVE}"),
        (f"x\n{'   ' * 9}\n" + " \t\n" * 999 + REMOVE, f"  x\n  ⟦⋯ 1,000 empty lines⟧\n  {REMOVE}"),
        (f"x{chr(10) * 4}y", "  x\n  \n  \n  \n  y"),
        (f"x{chr(10) * 5}y", "  x\n  ⟦⋯ 4 empty lines⟧\n  y"),
        ("\n" * 50 + "x", "  ⟦⋯ 50 empty lines⟧\n  x"),
        ("x" + "\n" * 50, "  x\n  ⟦⋯ 50 empty lines⟧"),
        ("x\n" + "\u200b\n" * 400 + "y", "  x\n  ⟦⋯ 400 empty lines with 400 × \\u200b⟧\n  y"),
        ("x\n" + "\r\n" * 400 + "y", "  x\n  ⟦⋯ 400 empty lines with 400 × \\r⟧\n  y"),
        ("x\n" + "\u3164\u2800\n" * 9 + "y", "with 18 characters that do not print⟧\n  y"),
        ("if x:\n\n\n\n\n\n        y", "  if x:\n  ⟦⋯ 5 empty lines⟧\n          y"),
    ],
)
def test_empty_lines_are_folded(code: str, text: str) -> None:
    assert shown(code=code).removeprefix("code:\n").endswith(text)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (f"print('hello'){' ' * 4500}; {REMOVE}", f"print('hello')⟦⋯ 4,500 spaces⟧; {REMOVE}"),
        ("\t" * 300 + "x", "⟦⋯ 300 tabs⟧x"),
        ("a" + " \t" * 30 + "b", "a⟦⋯ 60 blanks⟧b"),
        ("a" + "\u00a0" * 4500 + "b", "a⟦⋯ 4,500 × \\xa0⟧b"),
        ("a" + "\u3000 " * 50 + "b", "a⟦⋯ 100 characters that do not print⟧b"),
        ("a" + " " * 40 + "b", "a" + " " * 40 + "b"),
        ("\tx\t= 1", "\tx\t= 1"),
        ("x" + " " * 100, "x⟦⋯ 100 spaces⟧"),
    ],
)
def test_blanks_in_a_line_are_folded(line: str, text: str) -> None:
    assert as_text(inline(line)) == text


# Of each kind that shows nothing: controls, formats, blanks, separators, selectors, fillers, nobody's.
UNSEEN = (
    "00 07 1b 7f 85 9b 0d 0b 0c ad 200b 200c 200d 200e 202e 2066 2060 2063 feff e0041 a0 2003 3000 2028 2029 "
    "fe00 fe0f e0100 180b 3164 115f 1160 ffa0 2800 034f e000 f0000 0378 ffff d800 061c 206f fff9 27e6 27e7"
)


@pytest.mark.parametrize("character", [chr(int(code, 16)) for code in UNSEEN.split()], ids=ascii)
def test_what_does_not_print_is_an_escape(character: str) -> None:
    escape = character.encode("unicode_escape").decode()
    assert as_text(inline(f"is{character}admin")) == f"is⟦{escape}⟧admin"
    assert as_text(inline(character)) == f"⟦{escape}⟧"
    assert as_text(inline(character * 99)) == f"⟦⋯ 99 × {escape}⟧"
    json.dumps(inline(character)).encode()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("\u0430dmin", "⟦CYRILLIC а⟧dmin"),
        ("\u0440\u0430ypal", "⟦CYRILLIC ра⟧ypal"),
        ("p\u03bfrt", "p⟦GREEK ο⟧rt"),
        ("\u0555penai", "⟦ARMENIAN Օ⟧penai"),
        ("\u13aedmin", "⟦CHEROKEE Ꭾ⟧dmin"),
        ("is_\u0430dmin_2", "is_⟦CYRILLIC а⟧dmin_2"),
        ("\uff45\uff56\uff41\uff4c('x')", "⟦FULLWIDTH ｅｖａｌ⟧('x')"),
        ("\U0001d41e\U0001d431\U0001d41e\U0001d41c", "⟦MATHEMATICAL 𝐞𝐱𝐞𝐜⟧"),
        ("\u212aey", "⟦KELVIN \u212a⟧ey"),
        ("https://\u0430\u0440\u0440\u04cf\u0435.com # привет", "//⟦CYRILLIC аррӏе⟧.com # привет"),
        ("\u0441\u043e\u0440\u0443 a b", "⟦CYRILLIC сору⟧ a b"),
        ("x = 1\u037e y", "x = 1⟦GREEK \u037e⟧ y"),
        ("cat a\u2215b", "cat a⟦DIVISION ∕⟧b"),
        ("x \u01c3= y", "x ⟦LATIN ǃ⟧= y"),
        ("10\u09ea", "10⟦BENGALI ৪⟧"),
        ("z\u0338\u0327\u0322\u0321\u0328algo", "z\u0338\u0327\u0322⟦\\u0321⟧⟦\\u0328⟧algo"),
        ("'\u0338rm'", "'\u0338rm'"),
        ("a \u0338rm", "a ⟦\\u0338⟧rm"),
    ],
)  # fmt: skip
def test_what_passes_for_something_else_is_marked(text: str, told: str) -> None:
    assert as_text(inline(text)).endswith(told)


@pytest.mark.parametrize(
    "text",
    [
        "Привет, мир! а я с ними, у нас рак и сор",
        "Ελληνικά κείμενο",
        "# 使用numpy计算平均值，再画图",
        "日本語のテキストとpandasです",
        "한국어 test입니다",
        "café naïve Zürich façade ß œ ı ğ ş",
        "cafe\u0301",
        "µs = 1e-6; π_half, Δx, σ, λ1, α_max, ρ_0, θ, μm",
        "x² ½ 20 °C → ∑ ≤ … “quoted” — ‘so’",
        "❤️ 👩\u200d💻 👍🏽 🇩🇪 ✓",
        "नमस्ते दुनिया",
        "สวัสดี",
        "USB-кабель, 3D-модель",
        "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd",
        "[⋯ 400 empty lines] \\u200b [CYRILLIC а]".replace("а", "a"),
    ],
)
def test_texts_of_all_scripts_stay_readable(text: str) -> None:
    assert as_text(inline(text)) == text
    assert not {part.kind for part in inline(text)} & {"fold", "escape", "foreign"}


def test_what_is_ours_cannot_be_imitated() -> None:
    fold = "⟦⋯ 400 empty lines⟧"
    assert as_text(inline(fold)) == "⟦\\u27e6⟧⋯ 400 empty lines⟦\\u27e7⟧"
    # No line of a value stands where the names of arguments do.
    text = shown(content="x\npath: /etc/passwd", path="a.txt", **{"k\npath": "b"})
    names = [line for line in text.split("\n") if not line.startswith(" ")]
    assert names == ["content:", "path: a.txt", "k⟦\\n⟧path: b"]
    kinds = [part.kind for part in review.arguments(json.dumps({"path": "x\npath: y"})).parts]
    assert kinds == ["name", "text"]


def test_letters_that_are_written_from_right_to_left_stay_among_themselves() -> None:
    parts = inline("a = '\u05d0\u05d1 \u05d2' + 1 - '\u05d3'")
    assert [(part.kind, part.text) for part in parts] == [
        ("text", "a = '"),
        ("rtl", "\u05d0\u05d1 \u05d2"),
        ("text", "' + 1 - '"),
        ("rtl", "\u05d3"),
        ("text", "'"),
    ]


@pytest.mark.parametrize(
    ("arguments", "counts"),
    [
        ({"code": "print('hello')\n" + "\n" * 400 + REMOVE}, "402 lines, 447 characters"),
        ({"code": "a\nb\n"}, "2 lines, 4 characters"),
        ({"code": "a"}, "1 line, 1 character"),
        ({"path": "a.txt", "content": "x\ny"}, "3 lines, 8 characters"),
        ({"argv": ["ls", "-l"], "seconds": 60}, "3 lines, 6 characters"),
        ({"code": " " * 1234567}, "1 line, 1,234,567 characters"),
        ({}, "0 lines, 0 characters"),
    ],
)
def test_lines_and_characters_are_counted(arguments: dict[str, object], counts: str) -> None:
    assert review.arguments(json.dumps(arguments)).counts == counts


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"command": "ls", "command": "rm -r x"}', "command: rm -r x"),
        ('{"command": "\\u0072\\u006d"}', "command: rm"),
        ('{"x": 1e2, "y": 1.50, "z": 10000000000000000.1}', "x: 100.0\ny: 1.5\nz: 1e+16"),
        ('{"a": {"b": ["c\\nd", true]}}', "a:\n  b:\n    -\n      c\n      d\n    - true"),
        ('{"a": [null, [], {}, ""]}', 'a:\n  - null\n  - []\n  - {}\n  - ""'),
        ('{"n": NaN}', "n: NaN"),
        ("", ""),
        ("[1, 2", "[1, 2"),
        ("rm\u200b", "rm⟦\\u200b⟧"),
    ],
)  # fmt: skip
def test_the_values_are_those_that_the_function_gets(arguments: str, text: str) -> None:
    assert review.arguments(arguments).text == text


def test_a_digest_is_of_one_call() -> None:
    calls = [
        ("bash", "{}"),
        ("bash", '{"a": 1}'),
        ("bash", '{"a":1}'),
        ("bash{", "}"),
        ("sh", "{}"),
        ("bash ", "{}"),
    ]
    assert len({review.digest(*call) for call in calls}) == len(calls)
    assert review.digest("bash", "") == review.digest("bash", "{}")


def test_a_name_is_one_line() -> None:
    assert one_line("bash\n● idle\tx\u202e") == "bash⟦\\n⟧● idle\tx⟦\\u202e⟧"
    assert review.question("\u0430sk\n", "{}") == "⟦CYRILLIC а⟧sk⟦\\n⟧ wants to run (no arguments)"


def test_what_is_too_long_cannot_be_allowed() -> None:
    nested = '{"a":' + "[" * 900 + ",".join(["1"] * 90_000) + "]" * 900 + "}"
    many = json.dumps({"a": ["x"] * 90_000})
    for arguments in (json.dumps({"a": "x" * 200_000}), json.dumps({"a": "\u200b." * 30_000}), nested, many):
        assert not review.can_be_shown("bash", arguments)
    assert not review.can_be_shown("b" * 2000, "{}")
    assert review.can_be_shown("bash", json.dumps({"a": "x" * 199_000}))
    assert review.can_be_shown("bash", json.dumps({"a": "x" + "\n" * 1_000_000 + "y"}))


@pytest.mark.parametrize(
    "unit", ["x\n", "\u200b", "\u200b.", "a\u0430 ", "中", "a b ", "\n", " ", "é\u0301", "\u05d0 "]
)
def test_the_time_grows_with_the_text(unit: str) -> None:
    def seconds(length: int) -> float:
        text = json.dumps({"a": (unit * length)[:length]})
        best = 9.0
        for _ in range(3):
            review.arguments.cache_clear()
            started = time.perf_counter()
            review.arguments(text)
            best = min(best, time.perf_counter() - started)
        return best

    assert seconds(20_000) < 4 * seconds(10_000) + 0.02
