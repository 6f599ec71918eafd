"""Random texts over the alphabet of Markdown, formulas, fences, HTML and odd spaces, and whose text it was."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

from browser.hostile import IMG, NAMED

MARK = re.compile(r"/leak/(\d+)/|\bran\((\d+)\)")
"""How a text's number is found again, in an address or in what was drawn."""


def aimed(text: str, number: int, url: str) -> str:
    """The text with its number. `url` is the listener's, without a slash at its end."""
    return (
        text.replace("@run@", f"ran({number})")
        .replace("@url@", f"{url}/leak/{number}/")
        .replace("@path@", f"leak/{number}/x")
    )


# fmt: off
FRAGMENTS = (
    *("`", "``", "```", "````", "~~~", "~~~~", "```mermaid", "``` python", "```\u3000mermaid", "~~~\u00a0math"),
    *("$", "$$", "\\(", "\\)", "\\[", "\\]", "\\$", "\\begin{x}", "\\end{x}", "\\text{", "\\href{", "}", "{", "^", "\\frac{1}{2}"),
    *("\n", "\n", "\n", "\n\n", "\r", "\r\n", "\t", "    ", "  \n", "\\\n", " "),
    *("\u00a0", "\u3000", "\u2028", "\u2029", "\x85", "\x0b", "\f", "\u200b", "\ufeff", "\u2003", "\x1c", "\u180e", "\x00"),
    *("# ", "> ", ">", "- ", "* ", "+ ", "1. ", "10) ", "- [ ] ", "---", "===", "***", "___", ": "),
    *("*", "**", "_", "__", "~~", "[", "]", "(", ")", "![", "](", "][", "]: ", "<", ">", "!", "\\", "&", ";", "#", '"', "'", "|"),
    *("|a|b|\n|-|-|\n", "| ", " |", "[a]: ", "[^1]", "[^1]: ", "<!--", "-->", "<![CDATA[", "]]>", "<?", "?>", "<div>", "</div>"),
    *("<pre>", "</pre>", "<b>", "</b>", "<svg>", "<math>", "<style>", "</style>", "<table>", "<details>", "&lt;", "&#60;", "&colon;"),
    *("a", "b c", "x", "0", "text", "graph TD; A-->B", "javascript:", "https://a.example/", "http", ":", "\u0301", "\u202e", "\ud83d"),
)
HARM = (
    *(IMG, "<img src=@url@a onerror=@run@>", "<svg onload=@run@>", "<script>@run@</script>", "<img src=@url@b", " onerror=@run@ "),
    *("![x](@url@c)", "![x](@path@)", "[x](javascript:@run@)", "<javascript:@run@>", "![x][r]\n\n[r]: @url@d", '"><img src=@url@e onerror=@run@>'),
    *("\\href{javascript:@run@}{x}", "\\style{background:url(@url@f)}{x}", "\\unicode{<img src=@url@g onerror=@run@>}", "<iframe src=@url@h>"),
    *("```mermaid\ngraph TD; A[\"<img src=@url@i onerror=@run@>\"]\n```\n", "<style>@import '@url@j'</style>", "<video src=@url@k onerror=@run@>"),
)
# fmt: on


def random_texts(seed: int, count: int) -> Iterator[str]:
    """Texts out of pieces of Markdown, formulas, fences, HTML and odd spaces, among which is harm; a third of
    them named ones that had pieces put in, left out and doubled. The same for the same seed."""
    short = [text for text in NAMED.values() if len(text) < 600]
    for number in range(count):
        rng = random.Random(f"{seed}/{number}")
        if rng.random() < 1 / 3:
            pieces = re.findall(r"\s+|\w+|@\w+@|.", rng.choice(short))
            for _ in range(rng.randint(1, 6)):
                at = rng.randrange(len(pieces) + 1)
                pieces[at : at + rng.choice((0, 0, 1, 2))] = rng.choices(FRAGMENTS, k=rng.randint(0, 2))
                at = rng.randrange(len(pieces) + 1)
                pieces[at:at] = pieces[at : at + rng.randint(0, 8)]
        else:
            pieces = rng.choices(FRAGMENTS, k=rng.randint(2, 30))
            for _ in range(rng.randint(1, 3)):
                pieces.insert(rng.randrange(len(pieces) + 1), rng.choice(HARM))
        yield "".join(pieces)
