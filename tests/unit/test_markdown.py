"""Markdown of a model as HTML of our own."""

from __future__ import annotations

import random
import re
from html.parser import HTMLParser

import pytest

from praison_nb.render import markdown
from praison_nb.render.markdown import MarkdownStream, to_html
from servers.timing import grows_linearly

LINK = 'target="_blank" rel="noopener noreferrer"'
ALLOWED_ATTRIBUTES = ("href", "class", "target", "rel", "style", "start", "aria-hidden", "aria-label", "role")
ALPHABET = [
    "a",
    "word ",
    " ",
    "\n",
    "\n\n",
    "    ",
    "\t",
    "\u3000",
    "\u2028",
    "*",
    "**",
    "_",
    "~~",
    "`",
    "```",
    "~~~",
    "$",
    "$$",
    "\\(",
    "\\)",
    "\\[",
    "\\]",
    "[",
    "](",
    "![",
    ")",
    "<",
    ">",
    "> ",
    "- ",
    "1. ",
    "# ",
    "|",
    "|-|\n",
    "=",
    "---\n",
    "&lt;",
    "&#60;",
    "<img src=x onerror=a()>",
    "<script>",
    "http://a.example/b",
    "javascript:a()",
    "mermaid",
    "\\",
    "😀",
    "{",
    "}",
    "\\frac",
]


def inner(source: str) -> str:
    """The HTML without its root."""
    made = to_html(source)
    assert made.startswith('<div class="pnb-answer ') and made.endswith("</div>")
    return made.partition(">")[2].removesuffix("</div>").strip()


class Elements(HTMLParser):
    """Tags and attributes of a text, and what remains of it as text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize(
    ("source", "html"),
    [
        ("*a* **b** ~~c~~ `d<`", "<p><em>a</em> <strong>b</strong> <s>c</s> <code>d&lt;</code></p>"),
        ("<b onclick=a()>x</b>", "<p>&lt;b onclick=a()&gt;x&lt;/b&gt;</p>"),
        ("<!-- x -->\n<div>\n", "<p>&lt;!-- x --&gt;\n&lt;div&gt;</p>"),
        ("[x](https://a.example)", f'<p><a href="https://a.example" {LINK}>x</a></p>'),
        ("[x](javascript:a())", "<p>[x](javascript:a())</p>"),
        ("[x](JAVA&#115;cript:a())", "<p>[x](JAVAscript:a())</p>"),
        ("a&#x202e;b", "<p>ab</p>"),
        ("[x](//evil.example)", "<p>[x](//evil.example)</p>"),
        ("[x](/lab?reset)", "<p>[x](/lab?reset)</p>"),
        ("[x](data:text/html,y)", "<p>[x](data:text/html,y)</p>"),
        ("<javascript:a()>", "<p>&lt;javascript:a()&gt;</p>"),
        (
            "see https://a.example/b. Or http://c@d",
            f'<p>see <a href="https://a.example/b" {LINK}>https://a.example/b</a>. Or http://c@d</p>',
        ),
        (
            '![a "b"](http://p.example/x.png)',
            f'<p><a href="http://p.example/x.png" class="pnb-picture" {LINK}>🖼 a &quot;b&quot;</a></p>',
        ),
        ("[![p](http://p.example)](http://a.example)", f'<p><a href="http://a.example" {LINK}>🖼 p</a></p>'),
        ("```mermaid\nA[<b>]\n```", '<pre style="margin: 1em 2em"><code>A[&lt;b&gt;]\n</code></pre>'),
        ("    code\n", '<pre style="margin: 1em 2em"><code>code\n</code></pre>'),
        (
            "[a]: http://x.example\n\n[a]",
            f'<p>[a]: <a href="http://x.example" {LINK}>http://x.example</a></p>\n<p>[a]</p>',
        ),
        ("x\x1b[31m\u202ey", "<p>x[31my</p>"),
    ],
)
def test_html_is_text_and_addresses_are_checked(source: str, html: str) -> None:
    assert inner(source) == html


@pytest.mark.parametrize(
    ("source", "formulas"),
    [
        ("$x^2$ and $$y$$ and \\(z\\)", ["$x^2$", "$$y$$", "\\(z\\)"]),
        ("$$\na\n- b\n= c\n$$\nText", ["$$\na\n- b\n= c\n$$"]),
        ("\\[\n\\frac{a}{b} < c\n\\]", ["\\[\n\\frac{a}{b} < c\n\\]"]),
        ("- a\n\n  $$\n  x\n  $$\n", ["$$\nx\n$$"]),
        ("$5 and $6, or US$7 to US$8, 3$ a day $", []),
        ("a \\$b\\$ c", []),
        ("`$x$`", []),
        ("$a `b$ c`", ["$a `b$"]),
        ("$$\na\n\nb $$", []),
        ("$\\def\\x{y}$ $\\href{javascript:a()}{x}$ $\\style{color:red}{x}$ $\\rule{1em}{1em}$", []),
        ("$x\\hskip 1000em$", []),
        ("$" + "\\frac{1}{" * 30 + "x" + "}" * 30 + "$", []),
    ],
)
def test_formulas_are_what_the_page_typesets(source: str, formulas: list[str]) -> None:
    made = to_html(source)
    found = re.findall(r'<span class="mathjax_process tex2jax_process">(.*?)</span>', made, re.DOTALL)
    assert [Elements(each).text for each in found] == formulas
    # All else is not, whatever the page looks for.
    assert made.startswith('<div class="pnb-answer mathjax_ignore tex2jax_ignore"')


def test_random_texts_make_only_what_is_allowed() -> None:
    rng = random.Random(7)
    allowed = {
        "a",
        "blockquote",
        "br",
        "code",
        "div",
        "em",
        "hr",
        "li",
        "ol",
        "p",
        "pre",
        "s",
        "span",
        "strong",
        "table",
        "tbody",
        "td",
        "th",
        "thead",
        "tr",
        "ul",
        *(f"h{n}" for n in range(1, 7)),
    }
    for _ in range(3000):
        source = "".join(rng.choices(ALPHABET, k=rng.randrange(1, 40)))
        made = Elements(to_html(source))
        assert set(made.tags) <= allowed, source
        for tag, name, value in made.attributes:
            assert name in ALLOWED_ATTRIBUTES, source
            assert name != "href" or (tag == "a" and value.startswith(("http", "mailto:"))), source


@pytest.mark.parametrize("texts", [120, pytest.param(500, marks=pytest.mark.slow)])
def test_growing_text_ends_as_the_whole_text(texts: int) -> None:
    rng = random.Random(8)
    for _ in range(texts):
        source = "".join(rng.choices(ALPHABET, k=rng.randrange(1, 60)))
        stream, end = MarkdownStream(), 0
        dones = [""]
        while end < len(source):
            end += rng.randrange(1, 9)
            shown = stream.render(source[:end])
            assert shown.done.startswith(dones[-1]), "what is done stays"
            dones.append(shown.done)
        whole = to_html(source)
        assert shown.rest == ""
        assert (shown.done + shown.tail).strip() == (inner(source) if whole else ""), source


@pytest.mark.parametrize(
    "formula",
    [
        r"$\definecolor{red}{RGB}{0,255,0}$",
        r"$$x\tag{1}\label{eq:1}$$",
        r"$\ref{eq:1}$",
        r"$\enclose{roundedbox}{x}$",
        r"$\left(\verb|\right)|$",
        r"$\begin{prooftree}\AXC{a}\end{prooftree}$",
        r"$\begin {nothing} x$",
        "$" + r"\displaystyle " * 9 + "x$",
        "$$\n{1\\over%}\nx}\n$$",
        r"$\\% x$",
        r"$\unheardof$",
    ],
)
def test_a_formula_that_says_something_else_is_code(formula: str) -> None:
    made = markdown.to_html(f"see {formula}" if "\n" not in formula else formula)
    assert "mathjax_process" not in made and "<code>" in made


@pytest.mark.parametrize(
    "formula",
    [
        r"$\hat\beta = (X^\top X)^{-1}X^\top y$",
        r"$$\begin{aligned} a &= 50\% \\ &\text{of } b \end{aligned}$$",
        r"\[\sum_{i=1}^n \mathbb{E}\left[x_i \mid y\right] \le \operatorname{Var}(X)\]",
    ],
)
def test_a_formula_that_people_write_is_typeset(formula: str) -> None:
    assert "mathjax_process" in markdown.to_html(formula)


def test_a_formula_that_has_not_ended_is_not_done() -> None:
    for source in (
        "$$\nx\n- z\n$$\n",
        "\\[\na\n=\nb\n\\]",
        "$$\na\n+ b\n$$",
        "- a\n\n  $$\n  b\n  > c\n  $$\n",
        "text\n\n$$\n# a\n1. b\n$$\n\nmore",
    ):
        whole = inner(source)
        for pieces in (1, 3, len(source)):
            stream = MarkdownStream()
            for end in range(pieces, len(source) + pieces, pieces):
                shown = stream.render(source[:end])
            assert (shown.done + shown.tail).strip() == whole, source
        assert "mathjax_process" in whole


def test_each_message_stands_for_itself_and_they_share_what_a_page_bears() -> None:
    made = to_html("```\ncode", "**done** now")
    assert "<strong>done</strong>" in made and made.count("<code>") == 1
    many = to_html(*["- a\n" * 300] * 20)
    assert sum(tag != "p" for tag in Elements(many).tags) <= markdown.MOST_ELEMENTS + 2
    assert Elements(many).text.count("a") == 6000


def test_a_text_that_is_another_one_begins_anew() -> None:
    stream = MarkdownStream()
    stream.render("# A\n\nb\n\nc\n")
    assert stream.render("x\n\ny\n") == ("<p>x</p>\n", "<p>y</p>\n", "")


def test_nothing_is_lost_where_it_is_not_formatted() -> None:
    for source in (
        "> " * 300 + "deep",
        "- " * 100 + "deep",
        "- a\n" * 5000 + "- last",
        "[" * 3000 + "end",
        "|a" * 99 + "|\n" + "|-" * 99 + "|\n" + "|x\n" * 500 + "|last\n",
    ):
        last = source.rstrip("\n|").rpartition("|")[2].split()[-1].strip("[")
        assert last in Elements(to_html(source)).text


def test_no_text_makes_more_of_the_page_than_its_length() -> None:
    for source in (
        "- a\n" * 50_000,
        "*a* " * 40_000,
        "`a` " * 40_000,
        "|a" * 90_000,
        "a\n\n" * 60_000,
        "[a](http://b) " * 13_000,
        ("|a" * 64 + "\n" + "|-" * 64 + "\n" + "|x\n" * 100 + "\n") * 300,
        "$x$ " * 40_000,
        "> a\n\n" * 40_000,
    ):
        made = to_html(source)
        # What is too much for formatted blocks is paragraphs of text.
        assert sum(tag != "p" for tag in Elements(made).tags) <= markdown.MOST_ELEMENTS + 2
        assert made.count("mathjax_process") <= markdown.MOST_TEX / 10


@pytest.mark.parametrize(
    "piece",
    [
        "![",
        "[",
        "*a ",
        "**a*",
        "_a*",
        "` `` ",
        "<a ",
        "\\",
        "`a\n",
        "> ",
        "- ",
        "- a\n",
        "|a",
        "$a ",
        "$$a\n",
        "\\[a\n",
        "a\n",
        "&",
        "http://",
        "[a](",
        "```\n",
        "1. a\n\n",
        "|a|b|\n|-|-|\n",
        "\u3000",
        "*_",
        "word ",
    ],
)
def test_time_grows_with_the_text(piece: str) -> None:
    assert grows_linearly(to_html, lambda size: piece * (size // len(piece)), 3000, 8)
