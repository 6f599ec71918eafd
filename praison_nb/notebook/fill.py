"""Fills `{name}` in a prompt from the notebook's variables; every other brace stays as it is.

A prompt is text, much of it pasted: nothing in it is evaluated or called, and no value is filled in turn.
Code spans and fences are filled too, since people put data between them; what reads as a formula, a shell's
variable or an f-string is not. The user sees each fill.

>>> fill('{x} of {"a": 1}, {k: v for k in y}', {"x": 3})
('3 of {"a": 1}, {k: v for k in y}', ['filled {x}: int, 1 character sent'])
"""

from __future__ import annotations

import builtins
import itertools
import keyword
import re
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..content import Attachment, attach
from ..errors import ConfigError
from ..profile import profile
from ..redaction import collecting, redact, redact_value
from ..render.visible import counted
from ..tables import is_table
from ..text import describe_exception, shorten
from ..turn import Turn
from ..values import VALUE_CHARACTERS, redact_and_truncate, value_text
from .lookup import NAME, PATH, NotAVariable, find, kind, names, size

ALL_CHARACTERS = 10 * VALUE_CHARACTERS
"""Of all values in one prompt; the last may go beyond."""
MOST_FIELDS = 1000
SHOWN_FILLS = 10
SHOWN_PROBLEMS = 3

# {{this}} is a template's. Nothing here goes back, and no field holds another's brace: a prompt is read once.
_FIELD = re.compile(
    rf"(?<!\{{)\{{[ \t]*+(?P<name>{NAME})(?P<path>{PATH})[ \t]*+"
    r"(?:!(?P<conversion>[rsa]))?(?::(?P<spec>[^{}\n]{1,50}+))?\}(?!\})"
)
_CALL = re.compile(rf"(?<!\{{)\{{[ \t]*+(?P<name>{NAME}){PATH}\([^{{}}\n]{{0,200}}+\}}(?!\}})")
_NUMBERS = r"(?:.?[<>=^])?[-+]?z?#?0?\d{0,3}[_,]?(?:\.\d{1,3})?[_,]?[A-Za-z%]?"
_TIMES = r"(?=[^%]*%-?[A-Za-z])(?!.*\d{4}).*"
_SPEC = re.compile(rf"{_NUMBERS}|{_TIMES}")
"""Format specs that are no pasted code and make no gigabyte."""
_DATA = re.compile(r"[-+]?(?:0|[1-9]\d*)(?:\.\d+)?%?")
"""`{a:1}`, `{width:50%}` are JavaScript's and CSS's; a width alone is of no use in a prompt."""

_FORMULA = re.compile(
    r"""(?: [$^}]                                    # ${x}, e^{x}, the last of \frac{1}{x}
          | \\[A-Za-z]+\*?(?:\[[^\]\n]*\])?[_^]?     # \frac{x}, \sqrt[3]{x}, \sum_{x}
          | (?<![^\W_])[^\W\d_]_                     # a_{x}
        )\Z""",
    re.VERBOSE,
)
_F_STRING = re.compile(
    r"""[fFrR](?<![\w"'].)(?:(?<=[fF])[rR]?|[fF])
        (?:"{3}(?:(?!"{3}).)* | '{3}(?:(?!'{3}).)* | "[^"\n]*+ | '[^'\n]*+)\Z""",
    re.VERBOSE | re.DOTALL,
)
"""What stands before braces that are a formula's, a shell's or a program's."""
_FORMULA_CHARACTERS, _F_STRING_CHARACTERS = 40, 200
_PLAIN_TYPES = (str, bytes, bytearray, dict, list, tuple)
_CONVERSIONS: dict[str, Callable[[Any], str]] = {"r": repr, "s": str, "a": ascii}


@dataclass(slots=True)
class _Filled:
    text: str
    about: str
    times: int = 0


def fill(
    prompt: str,
    variables: Mapping[str, Any],
    hidden: Mapping[str, Any] | None = None,
    attachments: list[Attachment] | None = None,
) -> tuple[str, list[str]]:
    """The prompt with `{name}`, `{rows[0]}`, `{df.shape}`, `{x:.2f}` and the like filled, and lines for
    the user: some about what looks as if it should be filled, and one about all that was.
    Those `variables` that are `hidden` too are not the user's own but IPython's. Pictures and documents go
    into the list `attachments`, where there is one, and their labels into the text. Raises ConfigError for
    one that is too large."""
    hidden = hidden or {}
    pieces: list[str] = []
    # What each is filled with, or why it is not: "" where there is nothing to say.
    looked_up: dict[str, _Filled | str] = {}
    problems: dict[str, str] = {}
    end = characters = 0
    is_full = False
    for field in _FIELD.finditer(prompt):
        braces = field[0]
        made: _Filled | str
        if not _is_own(field, variables, hidden):
            made = _undefined(field, variables)
        elif not 0 < end == field.start() and _is_in_code(prompt, field.start()):
            made = ""
        elif is_full or (braces not in looked_up and len(looked_up) == MOST_FIELDS):
            made = f"a prompt has {ALL_CHARACTERS:,} characters of {MOST_FIELDS:,} values at most"
        else:
            if braces not in looked_up:
                looked_up[braces] = _look_up(field, variables, attachments)
            made = looked_up[braces]
        if isinstance(made, str):
            if made:
                problems.setdefault(braces, made)
            continue
        made.times += 1
        characters += len(made.text)
        is_full = characters > ALL_CHARACTERS
        pieces += prompt[end : field.start()], made.text
        end = field.end()
    pieces.append(prompt[end:])
    for call in _CALL.finditer(prompt):
        # What calls something of another variable is pasted code more often.
        if _is_own(call, variables, hidden) and is_table(variables[call["name"]]):
            problems.setdefault(call[0], "nothing in a prompt is called; fill in a variable that has it")
    filled = {braces: made for braces, made in looked_up.items() if isinstance(made, _Filled)}
    return "".join(pieces), [*_about_left(problems), *_about_filled(filled)]


def fill_options(arguments: Namespace, names: Iterable[str], shell: Any) -> list[str]:
    """Fill these options of a magic, in place, and return lines for the user. IPython's own filling would
    run what stands in braces there."""
    notes: list[str] = []
    for name in names:
        if value := getattr(arguments, name):
            filled, more = fill(value, shell.user_ns, shell.user_ns_hidden)
            setattr(arguments, name, filled)
            notes += more
    return notes


def _is_own(field: re.Match[str], variables: Mapping[str, Any], hidden: Mapping[str, Any]) -> bool:
    name = field["name"]
    if name not in variables:
        return False
    if name.startswith("_"):
        # They are Python's and IPython's; but `{_.text}` is the last answer. A lone `{_}` is code's.
        return name == "_" and bool(field["path"]) and type(variables[name]) is Turn
    return not (name in hidden and hidden[name] is variables[name])


def _undefined(field: re.Match[str], variables: Mapping[str, Any]) -> str:
    """What to say of a field that names no variable: nothing, unless it stands like a word among words."""
    name, text = field["name"], field.string
    is_word = field[0].strip("{ \t}") == name and not (
        name in variables or name.startswith("_") or hasattr(builtins, name) or keyword.iskeyword(name)
    )
    before, after = text[max(0, field.start() - 1) : field.start()], text[field.end() : field.end() + 1]
    stands_alone = not before.strip(" \t\n(") and not after.strip(" \t\n).,;:?!")
    return f"{name} is not defined" if is_word and stands_alone else ""


def _is_in_code(prompt: str, start: int) -> bool:
    if _FORMULA.search(prompt[max(0, start - _FORMULA_CHARACTERS) : start]):
        return True
    before = prompt[max(0, start - _F_STRING_CHARACTERS) : start]
    return ("'" in before or '"' in before) and bool(_F_STRING.search(before))


def _look_up(
    field: re.Match[str], variables: Mapping[str, Any], attachments: list[Attachment] | None
) -> _Filled | str:
    spec = field["spec"] or ""
    if _DATA.fullmatch(spec) or not _SPEC.fullmatch(spec):
        return ""
    try:
        value = find(variables[field["name"]], field["path"], variables)
        # With a form it is wanted as text.
        is_plain = not (spec or field["conversion"])
        if attachments is not None and is_plain and (made := attach(value, field[0].strip("{ \t}"))):
            attachments.append(made)
            return _Filled(made.label, f"{kind(value)}, sent as a {made.kind}")
        return _filled(field, value, spec, names(field["path"], variables))
    except NotAVariable:
        return ""
    except (KeyboardInterrupt, ConfigError):
        raise
    except BaseException as error:
        return describe_exception(error)


def _filled(field: re.Match[str], value: Any, spec: str, path: list[str]) -> _Filled:
    """Here, and nowhere before, the value's own code may run: it makes its text."""
    about = ", ".join(filter(None, (kind(value), size(value))))
    hidden: dict[str, None] = {}
    shown_rows = ""

    def as_table(each: Any) -> str | None:
        nonlocal shown_rows
        if (made := profile(each, _FIELD.sub("", field.string))) is None:
            return None
        shown_rows = made.note if each is value else ""
        return made.text

    with collecting(hidden):
        # An item that is called "key" is rarely one that opens something.
        for name in (field["name"], *(name for name in path if name.lower() != "key")):
            if type(value) in _PLAIN_TYPES:
                value = redact_value(value, name)
        if field["conversion"]:
            value = _CONVERSIONS[field["conversion"]](value)
        # One of a class of its own has methods of its own.
        text = str.__str__(format(value, spec) if spec else value_text(value, as_table))
        shown = redact_and_truncate(text)
    about += f", {shown_rows}" * bool(shown_rows)
    about += f", {counted(len(shown), 'character')} sent"
    return _Filled(shown, about + (f", without {', '.join(hidden)}" if hidden else ""))


def _about_filled(filled: Mapping[str, _Filled]) -> list[str]:
    lines = [
        f"{shorten(braces, 60)}: {made.about}" + (f", {made.times:,} times" if made.times > 1 else "")
        for braces, made in itertools.islice(filled.items(), SHOWN_FILLS)
    ]
    if len(filled) > SHOWN_FILLS:
        lines.append(f"… and {len(filled) - SHOWN_FILLS:,} more")
    return [f"filled {'; '.join(lines)}"] if lines else []


def _about_left(problems: Mapping[str, str]) -> list[str]:
    lines = [
        f"{shorten(braces, 60)} is left as it is: {shorten(redact(why), 200)}"
        for braces, why in itertools.islice(problems.items(), SHOWN_PROBLEMS)
    ]
    if len(problems) > SHOWN_PROBLEMS:
        lines.append(f"… and {len(problems) - SHOWN_PROBLEMS:,} more are left as they are")
    return lines
