"""What a name says of its value, and whether a value looks like a secret: what `redaction` judges by.

A name is read as words, split at `_` and at changes of case, and the last one says what it is: OPENAI_API_KEY
is a key, KEYBOARD_LAYOUT a layout, MONKEY neither.
"""

from __future__ import annotations

import functools
import re
from enum import IntEnum


class Level(IntEnum):
    """How much a name says of its value: nothing; a secret where it looks random; where it is no plain word;
    whatever it is."""

    NONE = 0
    MAYBE = 1
    LIKELY = 2
    SURE = 3


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# A word by itself, and with a word before it that says of what.
_WORDS: dict[str, tuple[Level, Level]] = {
    **dict.fromkeys(
        _words("PASSWORD PASSWD PASSPHRASE PWD SECRET SECRETS CREDENTIAL CREDENTIALS APIKEY AUTHORIZATION"),
        (Level.SURE, Level.SURE),
    ),
    **dict.fromkeys(_words("PASS PAT TOKEN"), (Level.LIKELY, Level.SURE)),
    **dict.fromkeys(_words("AUTH BEARER DSN PASSWORDS"), (Level.LIKELY, Level.LIKELY)),
    **dict.fromkeys(_words("KEY KEYS TOKENS COOKIE JWT SIG SIGNATURE"), (Level.MAYBE, Level.MAYBE)),
}
# Written as one word with what stands before it: PGPASSWORD, authtoken. MONKEY and COMPASS are no such words.
_GLUED = re.compile(
    r"\w(?:PASSWORD|PASSWD|PASSPHRASE|(?<!OLD)PWD|SECRET|TOKEN|(?:API|ACCESS|SECRET|PRIVATE|AUTH)KEY)$"
)
# Whose key, or what it is for.
_KEYS: dict[str, Level] = {
    **dict.fromkeys(_words("API ACCESS SECRET PRIVATE AUTH SIGNING ENCRYPTION MASTER"), Level.SURE),
    **dict.fromkeys(
        _words("SERVICE ACCOUNT ADMIN DEPLOY SUBSCRIPTION SSH APP STRIPE AWS AZURE"), Level.LIKELY
    ),
    **dict.fromkeys(_words("OPENAI ANTHROPIC CLAUDE GEMINI GOOGLE GROQ MISTRAL DEEPSEEK"), Level.LIKELY),
    **dict.fromkeys(_words("OPENROUTER HF HUGGINGFACE COHERE TOGETHER XAI REPLICATE"), Level.LIKELY),
}
# What is counted, or marks a place in a text, is called a token or a pass too.
_COMMON = _words(
    "PAD EOS BOS UNK MASK SEP CLS STOP NEXT SPECIAL PER MAX MIN NUM FIRST SECOND LAST LOW HIGH BAND BY "
    "FORWARD BACKWARD TEST ALL ONE TWO PUBLIC"
)
# A name that ends so is about a secret.
_ABOUT = _words(
    "FILE FILES PATH DIR FOLDER SOCK SOCKET HOST PORT NAME NAMES TYPE COUNT LIMIT LENGTH LEN SIZE MIN "
    "MAX URL URI ENDPOINT ID IDS COLUMN COLUMNS FIELD LAYOUT MODE METHOD PROVIDER PATTERN REGEX FORMAT "
    "TTL EXPIRY EXPIRES TIMEOUT AGE INDEX RATE RATIO COST PRICE LABEL TITLE ALGORITHM ALG VERSION "
    "ENABLED REQUIRED PROMPT HINT USER USERNAME EMAIL USED LEFT TOTAL"
)
# Which one of several it is.
_SUFFIXES = _words("PROD PRODUCTION DEV STAGING LIVE OLD NEW MAIN DEFAULT BACKUP VALUE STRING TEXT")
_CASE_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


@functools.lru_cache(maxsize=4000)
def level_of(name: str) -> Level:
    """What a name says of its value.

    >>> [level_of(name).name for name in ("OPENAI_API_KEY", "clientSecret", "SORT_KEY", "MONKEY", "KEY_FILE")]
    ['SURE', 'SURE', 'MAYBE', 'NONE', 'NONE']
    """
    if name in ("PWD", "OLDPWD"):
        # The shell's own, its folders.
        return Level.NONE
    words = [word.upper() for word in _CASE_WORDS.findall(name[:200])]
    while words and words[-1] in _SUFFIXES:
        words.pop()
    if not words or words[-1] in _ABOUT:
        return Level.NONE
    levels = [_level_of_word(word, before) for before, word in zip(["", *words], words, strict=False)]
    # What follows says that it is something of the secret, or whose it is: one step less sure.
    return max(levels[-1], *(Level(max(0, level - 1)) for level in levels))


def _level_of_word(word: str, before: str) -> Level:
    if word == "KEY" and before in _KEYS:
        return _KEYS[before]
    if before in _COMMON and word in ("TOKEN", "PASS"):
        return Level.MAYBE
    if word in _WORDS:
        return _WORDS[word][bool(before)]
    return Level.SURE if _GLUED.search(word) else Level.NONE


# What people write where no secret is: a local server takes any key, and documentation has to show one.
_PLACEHOLDERS = _words(
    "password postgres changeme lmstudio notneeded nokeyrequired nokey placeholder anonymous localhost "
    "undefined disabled required optional yourapikey apikey secret testkey string text str int bool "
    "bytes any none null nil true false yes no on off default hidden redacted basic digest oauth oauth2 "
    "kerberos bearer ollama empty dummy"
)
_TEMPLATE = re.compile(
    r"\$?\{{1,2}[\w .]{0,60}\}{1,2}|<[^<>\s]{1,60}>|\$[A-Z_]+|%\(?\w+\)?s?|\*+|x{3,}|[.…•]+|\[[\w ]{0,60}\]"
    r"|your[-_ ].*|my[-_ ](?:api[-_ ])?(?:key|token|secret|password)",
    re.IGNORECASE,
)
_PLAIN = re.compile(r"~?/?(?:[^\W\d_]{1,25}|\d{1,6})(?:[ _./,+-]{1,3}(?:[^\W\d_]{1,25}|\d{1,6}))*+[ _./-]?")
_PIECES = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+")
_RUNS = re.compile(r"[A-Za-z0-9]{10,}")
_LOOKED_AT = 500


def looks_random(value: str) -> bool:
    """Whether letters, cases and digits change so often that nobody wrote or named it so.

    >>> looks_random("Xq3vT9bLmR7zKwP2"), looks_random("customer_id_2024"), looks_random("international")
    (True, False, False)
    """
    if len(value) < 12:
        return False
    runs = _RUNS.findall(value[:_LOOKED_AT])
    return any(not run.isdigit() and len(run) < 3 * len(_PIECES.findall(run)) for run in runs)


def is_plain(value: str) -> bool:
    """Whether this is words, names, numbers or a path.

    >>> is_plain("us-east-1"), is_plain("/run/user/1000"), is_plain("hunter2"), is_plain("ada:lovelace")
    (True, True, False, False)
    """
    return bool(_PLAIN.fullmatch(value[:_LOOKED_AT])) and not looks_random(value)


def is_template(value: str) -> bool:
    """Whether this says where a secret is to be put.

    >>> is_template("${API_KEY}"), is_template("<password>"), is_template("password")
    (True, True, False)
    """
    return bool(_TEMPLATE.fullmatch(value[:_LOOKED_AT]))


def is_placeholder(value: str) -> bool:
    """Whether this stands where a secret would be.

    >>> is_placeholder("${API_KEY}"), is_placeholder("lm-studio"), is_placeholder("hunter2")
    (True, True, False)
    """
    word = re.sub(r"[\W_]", "", value[:100]).lower()
    return not word or word in _PLACEHOLDERS or is_template(value)


def fits(level: Level, value: str) -> bool:
    """Whether a value that stands under a name of this level is a secret.

    >>> fits(Level.SURE, "x"), fits(Level.LIKELY, "the"), fits(Level.LIKELY, "abcd1234")
    (True, False, True)
    """
    if is_placeholder(value):
        return False
    match level:
        case Level.SURE:
            return True
        case Level.LIKELY:
            # A part of a word of a text is a token too: "##ing", "covid19".
            is_mixed = ":" in value or (any(map(str.isdigit, value)) and any(map(str.isalpha, value)))
            return len(value) >= 8 and is_mixed and not is_plain(value) and not re.search(r"\s", value)
        case Level.MAYBE:
            return looks_random(value) and not re.search(r"\s", value)
    return False


def is_distinct(level: Level, value: str) -> bool:
    """Whether it is a secret that may be looked for by itself: what is short stands in other places too.

    >>> is_distinct(Level.SURE, "hunter2"), is_distinct(Level.SURE, "k"), is_distinct(Level.MAYBE, "my_id")
    (True, False, False)
    """
    value = value.strip()
    if len(value) < (8 if value.isalpha() or value.isdigit() else 6):
        return False
    return fits(level, value) and not (value.startswith(("/", "~/")) and is_plain(value))
