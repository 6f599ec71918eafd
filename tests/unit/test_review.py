"""What somebody who decides about a call is shown of it."""

from __future__ import annotations

import json
import random

import pytest

from praison_nb.render import review
from praison_nb.render.lookalikes import lookalikes
from praison_nb.render.review import as_text, inline, one_line
from servers.timing import grows_linearly

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
    assert shown(code=code).removeprefix("code: |\n").endswith(text)


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
        ("x = \u09ea\u09ea", "x = ⟦BENGALI ৪৪⟧"),
        ("\ua4e1\ua4f3 -rf ~", "⟦LISU ꓡꓳ⟧ -rf ~"),
        ("sudo \ua4e1\ua4e2 x", "sudo ⟦LISU ꓡꓢ⟧ x"),
        ("if \u13aa\u13b1: x", "if ⟦CHEROKEE ᎪᎱ⟧: x"),
        ("import \u2c9f\u2ca5", "import ⟦COPTIC ⲟⲥ⟧"),
        ("x.\u2d54\u2d5d", "x.⟦TIFINAGH ⵔⵝ⟧"),
        ("a = \u07ca", "a = ⟦NKO ߊ⟧"),
        ("a = \U00010415", "a = ⟦DESERET 𐐕⟧"),
        ("ls \u1587\u14aa", "ls ⟦CANADIAN ᖇᒪ⟧"),
        ("ls \u0585\u057d", "ls ⟦ARMENIAN օս⟧"),
        ("x = \u05e1", "x = ⟦HEBREW ס⟧"),
        ("x = \u0d20", "x = ⟦MALAYALAM ഠ⟧"),
        ("rm \u2212rf", "rm ⟦MINUS −⟧rf"),
        ("rm \u2010rf", "rm ⟦HYPHEN ‐⟧rf"),
        ("\u2011rf", "⟦NON-BREAKING ‑⟧rf"),
        ("rm \u2013rf", "rm ⟦EN –⟧rf"),
        ("rm \u2014\u2014force", "rm ⟦EM ——⟧force"),
        ("rm \u2212\u2010rf", "rm ⟦MINUS −⟧⟦HYPHEN ‐⟧rf"),
        ("rm \u30fcrf", "rm ⟦KATAKANA-HIRAGANA ー⟧rf"),
        ("\u6587\u4ef6 rm \uff0drf", "rm ⟦FULLWIDTH －⟧rf"),
        ("x\u0589 y", "x⟦ARMENIAN ։⟧ y"),
        ("f(a\u201a b)", "f(a⟦SINGLE ‚⟧ b)"),
        ("\u02bcx\u02bc", "⟦MODIFIER ʼ⟧x⟦MODIFIER ʼ⟧"),
        ("2\u22173", "2⟦ASTERISK ∗⟧3"),
        ("rm ./\u2217", "rm ./⟦ASTERISK ∗⟧"),
        ("a\u2223b", "a⟦DIVIDES ∣⟧b"),
        ("\u223c/x", "⟦TILDE ∼⟧/x"),
        ("0\u00d741", "0⟦MULTIPLICATION ×⟧41"),
        ("\u2217.py", "⟦ASTERISK ∗⟧.py"),
        ("\ua78crm\ua78c", "⟦LATIN ꞌ⟧rm⟦LATIN ꞌ⟧"),
        ("\u1d00dmin", "⟦LATIN ᴀ⟧dmin"),
        ("ls\u2502sh", "ls⟦BOX │⟧sh"),
        ("rm \u4e00rf", "rm ⟦CJK 一⟧rf"),
        ("rm \u3161rf", "rm ⟦HANGUL ㅡ⟧rf"),
        ("x \uff1d 1", "x ⟦FULLWIDTH ＝⟧ 1"),
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
        "don’t — it’s “so” … 3 × 4 − 1, pages 10–20, Mann–Whitney, word—word",
        "„wort“ ‚wort‘ «mot» ¿Qué? § 3 x→y x≤5 ±1 √2 • a",
        "使用numpy、pandas，然后plot；x＝1（2）：好。",
        "サーバーとコーヒー server、data",
        "# Հայերեն տեքստ code-ում",
        "ᎣᏏᏲ ᏙᎯᏧ",
        "ⵜⴰⵎⴰⵣⵉⵖⵜ",
        "print('है')  # यह code है।",
        "x = 1  # نص عربي، numpy",
        "第一步：pip install x",
        "├── a.py │ b",
        "ספר־numpy",
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
    assert names == ["content: |", "path: a.txt", '"k⟦\\n⟧path": b']
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
        ('{"a": {"b": ["c\\nd", true]}}', "a:\n  b:\n    - |\n      c\n      d\n    - true"),
        ('{"a": [null, [], {}, ""]}', 'a:\n  - null\n  - []\n  - {}\n  - ""'),
        ('{"n": NaN}', "n: NaN"),
        ("", ""),
        ("[1, 2", "⟦not JSON⟧ [1, 2"),
        ("rm\u200b", "⟦not JSON⟧ rm⟦\\u200b⟧"),
        ("command: ls\nx", "⟦not JSON⟧ |\n  command: ls\n  x"),
        ("  ", '⟦not JSON⟧ "  "'),
        ("3", "3"),
        ("null", "null"),
        ("false", "false"),
        ("[]", "[]"),
        ("{}", ""),
        ('[1, ["x"]]', "- 1\n-\n  - x"),
        ('"a: b"', '"a: b"'),
        ('"a\\nb"', "|\n  a\n  b"),
    ],
)  # fmt: skip
def test_the_values_are_those_that_the_function_gets(arguments: str, text: str) -> None:
    assert review.arguments(arguments).text == text


@pytest.mark.parametrize(
    "values",
    [
        [None, "null", "Null", "NULL"],
        [1, "1", 1.0, "1.0", "+1", "1e0", " 1", "1 ", "'1'", '"1"', '"\\"1\\""'],
        [True, "true", False, "false", "True"],
        [{}, "{}", [], "[]", "", '""', "''", " ", "\t", "|", "-"],
        [float("nan"), "NaN", "nan", float("inf"), "Infinity", float("-inf"), "-Infinity"],
        ["- x\n- y", ["x", "y"], "-\n  x", "\n- x\n- y", ["x\n- y"], "|\n- x\n- y"],
        ["x: 1\ny: 2", {"x": 1, "y": 2}, {"x": "1\ny: 2"}, {"x: 1\ny": 2}, {"x": "1", "y": "2"}],
        ["c: d", {"c": "d"}, ["c: d"], [{"c": "d"}], "- c: d", [["c: d"]], ["- c: d"]],
        ["\n", "\n\n", " \n", "\\n", "⟦\\n⟧", '"\n"'],
        ["9" * 5000, '"' + "9" * 5000, "[" * 5000],
        ["a\\", 'a"', 'a\\"', ' a"', ' a\\"', ' a\\\\"'],
    ],
)  # fmt: skip
def test_what_differs_is_shown_differently(values: list[object]) -> None:
    calls = [
        value for each in values for value in ({"a": each}, {"a": [each]}, [each], {"a": {"b": each}}, each)
    ]
    texts = [review.arguments(json.dumps(call)).text for call in calls]
    assert len(set(texts)) == len({json.dumps(call) for call in calls})
    assert all(texts[i] or calls[i] == {} for i in range(len(calls)))


def test_a_name_is_told_from_a_value() -> None:
    assert shown(**{"b: c": "d"}) == '"b: c": d'
    assert shown(b="c: d") == 'b: "c: d"'
    assert shown(**{"": 1, "a b": 2, "-": 3, "é": 4, 'a"': 5}) == '"": 1\n"a b": 2\n"-": 3\né: 4\n"a\\"": 5'


@pytest.mark.parametrize(
    "text",
    [
        "rm -rf build/ && make all",
        'git commit -m "done"',
        "print('x: y')",
        "-rf",
        "https://example.org/a?b=c",
        "[ -f x ] && y",
        "a: b".replace(" ", ""),
        "1 + 1",
        "C:\\x",
        "don't",
    ],
)
def test_what_is_plain_stays_without_quotes(text: str) -> None:
    assert shown(command=text) == f"command: {text}"


@pytest.mark.parametrize("count", [20_000, pytest.param(60_000, marks=pytest.mark.slow)])
def test_random_arguments_are_told_apart(count: int) -> None:
    chance = random.Random(7)
    pieces = [
        "x",
        "y",
        "- ",
        ": ",
        ":",
        "\n",
        "  ",
        '"',
        "\\",
        "|",
        "1",
        "null",
        "{}",
        "[]",
        "⟦",
        "⋯",
        "\u200b",
    ]
    pieces += ["\u0430", "\t", "-", "true", ".0", "'", "NaN", "⟧", "\\n", "é", "u200b", "\r"]

    def string() -> str:
        return "".join(chance.choices(pieces, k=chance.randrange(5)))

    def value(depth: int) -> object:
        match chance.randrange(8 if depth else 5):
            case 0 | 1 | 2:
                return string()
            case 3:
                return chance.choice(
                    [None, True, False, 0, 1, -1, 1.0, 10, float("nan"), float("inf"), "", [], {}]
                )
            case 4:
                return chance.choice(["x", "y", "x\ny", "1", "null"])
            case 5 | 6:
                return [value(depth - 1) for _ in range(chance.randrange(3))]
            case _:
                return {string(): value(depth - 1) for _ in range(chance.randrange(3))}

    calls = {json.dumps(value(3)) for _ in range(count)} | {
        json.dumps({string(): value(2)}) for _ in range(20_000)
    }
    texts: dict[str, str] = {}
    pages: dict[tuple[tuple[str, str], ...], str] = {}
    for call in sorted(calls):
        parts = review._reviewed(json.loads(call)).parts
        assert texts.setdefault(as_text(parts), call) == call
        assert pages.setdefault(tuple((part.kind, part.text) for part in parts), call) == call
    assert len(texts) > 20_000


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
    "unit",
    [
        "−",
        "x\u2212",
        "\ua4e1 x",
        "\u05e1 ",
        "x\n",
        "\u200b",
        "\u200b.",
        "a\u0430 ",
        "中",
        "a b ",
        "\n",
        " ",
        "é\u0301",
        "\u05d0 ",
    ],
)
def test_the_time_grows_with_the_text(unit: str) -> None:
    def arguments(text: str) -> None:
        review.arguments.cache_clear()
        review.arguments(text)

    assert grows_linearly(arguments, lambda size: json.dumps({"a": (unit * size)[:size]}), 3_000, 8)


@pytest.mark.parametrize(
    ("line", "marked"),
    [
        ("cp \u0441\u043e\u0440\u0443 # \u0444\u0430\u0439\u043b", {3, 4, 5, 6}),
        ("rm -rf \u0445 # \u0443\u0434\u0430\u043b\u0438\u0442\u044c", {7}),
        ("x = 1  # \u044d\u0442\u043e \u0430 \u043d\u0435 \u0442\u043e", set()),
    ],
)
def test_a_comment_excuses_no_word_of_the_code(line: str, marked: set[int]) -> None:
    assert lookalikes(line) == marked
