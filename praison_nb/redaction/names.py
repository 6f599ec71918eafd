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
        _words("PASSWORD PASSWD PASSPHRASE PASSWORT KENNWORT PWD PSW SECRET SECRETS APIKEY"),
        (Level.SURE, Level.SURE),
    ),
    **dict.fromkeys(_words("PW"), (Level.LIKELY, Level.SURE)),
    **dict.fromkeys(
        _words("PASS PAT TOKEN AUTH BEARER DSN PASSWORDS AUTHORIZATION CREDENTIAL CREDENTIALS"),
        (Level.LIKELY, Level.LIKELY),
    ),
    **dict.fromkeys(_words("KEY KEYS TOKENS COOKIE JWT SIG SIGNATURE"), (Level.MAYBE, Level.MAYBE)),
}
# Written as one word with what stands before it: PGPASSWORD, authtoken. MONKEY and COMPASS are no such words.
_GLUED = re.compile(
    r"\w(?:PASSWORD|PASSWD|PASSPHRASE|(?<!OLD)PWD|SECRET|TOKEN|(?:API|ACCESS|SECRET|PRIVATE|AUTH)KEY)$"
)
# Whose key, or what it is for.
_KEYS: dict[str, Level] = {
    **dict.fromkeys(_words("API ACCESS SECRET PRIVATE AUTH SIGNING ENCRYPTION ENC MASTER"), Level.SURE),
    **dict.fromkeys(
        _words("SERVICE ACCOUNT ADMIN DEPLOY SUBSCRIPTION SSH APP STRIPE AWS AZURE"), Level.LIKELY
    ),
    **dict.fromkeys(_words("OPENAI ANTHROPIC CLAUDE GEMINI GOOGLE GROQ MISTRAL DEEPSEEK"), Level.LIKELY),
    **dict.fromkeys(_words("OPENROUTER HF HUGGINGFACE COHERE TOGETHER XAI REPLICATE"), Level.LIKELY),
    # Those of data, which are as random as any.
    **dict.fromkeys(
        _words(
            "PUBLIC PUB CACHE OBJECT PRIMARY FOREIGN PARTITION SORT SHARD ROUTING IDEMPOTENCY DEDUP ANSWER"
        ),
        Level.NONE,
    ),
}
# What a token or a pass is for, so that it is none of a text or a mountain. (A variable's name, which is in
# capitals, is of no data at all.)
_OF_ACCESS = _words(
    "API ACCESS AUTH REFRESH BEARER SESSION SECURITY SECRET OAUTH CSRF XSRF PERSONAL CLIENT SERVICE DEPLOY "
    "JOB REGISTRY WEBHOOK BOT APP ADMIN ROOT USER LOGIN DB DATABASE SQL MYSQL PG POSTGRES REDIS MONGO "
    "LDAP SSH FTP SMTP MAIL EMAIL IMAP PROXY VPN WIFI GH GITHUB GITLAB BITBUCKET ADO AZURE AWS GCP GOOGLE HF "
    "HUGGINGFACE HUB SLACK DISCORD TELEGRAM TWITTER NPM PYPI VAULT DATABRICKS OPENAI ANTHROPIC AUTHORIZATION"
)
# `has_password`, `trade_secret`.
_NOT_IT = _words(
    "HAS HAVE NEEDS IS FORGOT FORGOTTEN REQUIRE REQUIRES USE USES SHOW HIDE ENABLE DISABLE ALLOW ENTER WRONG "
    "INVALID MISSING NO TRADE TOP OPEN STATE FAMILY"
)
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

    >>> [level_of(name).name for name in ("OPENAI_API_KEY", "clientSecret", "SESSION_KEY", "MONKEY")]
    ['SURE', 'SURE', 'MAYBE', 'NONE']
    """
    if name in ("PWD", "OLDPWD"):
        # The shell's own, its folders.
        return Level.NONE
    words = [word.upper() for word in _CASE_WORDS.findall(name[:200])]
    while words and words[-1] in _SUFFIXES:
        words.pop()
    if not words or words[-1] in _ABOUT:
        return Level.NONE
    is_variable = name.isupper()
    levels = [
        _level_of_word(word, before, is_variable) for before, word in zip(["", *words], words, strict=False)
    ]
    if words[0] in _NOT_IT:
        return min(levels[-1], Level.MAYBE)
    # What follows says that it is something of the secret, or whose it is: one step less sure.
    return max(levels[-1], *(Level(max(0, level - 1)) for level in levels))


def _level_of_word(word: str, before: str, is_variable: bool) -> Level:
    if word in ("KEY", "KEYS") and before in _KEYS:
        return _KEYS[before]
    if before and is_variable and word in ("AUTHORIZATION", "CREDENTIAL", "CREDENTIALS"):
        return Level.SURE
    if before and word in ("TOKEN", "PASS", "PAT"):
        if before in _COMMON:
            return Level.MAYBE
        return Level.SURE if is_variable or before in _OF_ACCESS else Level.LIKELY
    if word in _WORDS:
        return _WORDS[word][bool(before)]
    return Level.SURE if _GLUED.search(word) else Level.NONE


def level_of_items(name: str) -> Level:
    """What the name of a list says of each thing in it.

    >>> [level_of_items(name).name for name in ("passwords", "api_keys", "unique_tokens")]
    ['SURE', 'SURE', 'LIKELY']
    """
    return max(level_of(name), level_of(re.sub("s$|S$", "", name)))


# What people write where no secret is: a local server takes any key, and documentation has to show one.
_PLACEHOLDERS = _words(
    "password postgres changeme lmstudio notneeded nokeyrequired nokey placeholder anonymous localhost "
    "undefined disabled required optional yourapikey apikey secret testkey string text str int bool "
    "bytes any none null nil true false yes no on off default hidden redacted basic digest oauth oauth2 "
    "kerberos bearer ollama empty dummy"
)
_TEMPLATE = re.compile(
    r"\$?\{{1,2}[\w .]{0,60}\}{1,2}|<[^<>\s]{1,60}>|%\(?\w+\)?s?|\*+|x{3,}|[.…•]+|\[[\w ]{0,60}\]"
    r"|your[-_ ].*|my[-_ ](?:api[-_ ])?(?:key|token|secret|password)",
    re.IGNORECASE,
)
_VARIABLE = re.compile(r"\$\{{1,2}[\w .]{0,60}\}{1,2}|\$[A-Z_]+")
# Words with numbers, expressions, plain addresses.
_OF_TEXT = re.compile(
    r"(?>[A-Za-z]{1,25}\d{0,8}|\d{1,8}[a-z]{0,2})(?>(?:[_./,+-]{1,2}(?>[A-Za-z]{1,25}\d{0,8}|\d{1,8}[a-z]{0,2}))*)"
    r"|[A-Za-z_][\w.]{0,80}\(.*|\w+://.*|[\w.-]+:\d{1,5}",
    re.DOTALL,
)
_FILE = re.compile(r"/.*\.\w{1,8}$", re.DOTALL)
_PLAIN = re.compile(
    r"~?/?(?:[^\W\d_]{1,25}|\d{1,6})(?>(?:[ _./,+-]{1,3}(?:[^\W\d_]{1,25}|\d{1,6}))*)[ _./-]?"
)
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
    """Whether this says where a secret is to be put. What has digits in it says so for variables only.

    >>> [is_template(value) for value in ("${API_KEY}", "<password>", "$DB_PASSWORD", "%Tr0ub4dor")]
    [True, True, True, False]
    """
    value = value[:_LOOKED_AT]
    if _VARIABLE.fullmatch(value):
        return value[1] == "{" or bool(level_of(value[1:]))
    return not any(map(str.isdigit, value)) and bool(_TEMPLATE.fullmatch(value))


def is_placeholder(value: str) -> bool:
    """Whether this stands where a secret would be.

    >>> is_placeholder("${API_KEY}"), is_placeholder("lm-studio"), is_placeholder("hunter2")
    (True, True, False)
    """
    word = re.sub(r"[\W_]", "", value[:100]).lower()
    return not word or word in _PLACEHOLDERS or is_template(value)


def fits(level: Level, value: str) -> bool:
    """Whether a value that stands under a name of this level is a secret.

    >>> fits(Level.SURE, "x"), fits(Level.LIKELY, "the"), fits(Level.LIKELY, "ab12cd34")
    (True, False, True)
    """
    if not level or is_placeholder(value):
        return False
    if level is Level.SURE:
        return True
    if re.search(r"\s", value):
        return False
    if level is Level.LIKELY:
        # A part of a text is a token too: "##ing", "covid19"; an expression and an address are none.
        is_mixed = ":" in value or (any(map(str.isdigit, value)) and any(map(str.isalpha, value)))
        return len(value) >= 8 and is_mixed and not is_plain(value) and not _OF_TEXT.fullmatch(value)
    # The key of a thing in a store is its path.
    return looks_random(value) and not _FILE.search(value)


def is_distinct(level: Level, value: str) -> bool:
    """Whether a variable's value is a secret that may be looked for by itself: what is short or ordinary
    stands in other places too.

    >>> is_distinct(Level.SURE, "hunter2"), is_distinct(Level.SURE, "k"), is_distinct(Level.SURE, "word")
    (True, False, False)
    """
    value = value.strip()
    return fits(level, value) and is_given(value) and not is_ordinary(value)


def is_given(value: str) -> bool:
    """Whether what was given as a secret may be looked for by itself.

    >>> is_given("%Tr0ub4dor3"), is_given("{key}"), is_given("swordfish"), is_given("abcd")
    (True, False, True, False)
    """
    value = value.strip()
    return len(value) >= (8 if value.isdigit() else 6) and not is_placeholder(value)


def is_word(value: str) -> bool:
    """Whether it is one lower-case word.

    >>> is_word("notebook"), is_word("qzxkvtbwmpljhgfdrcns"), is_word("hunter2")
    (True, False, False)
    """
    return len(value) <= 15 and value.isalpha() and value.islower()


def is_ordinary(value: str) -> bool:
    """Whether texts and data have it for reasons of their own: a word, an identifier, a date, a region, a
    host, a path, a plain address.

    >>> [is_ordinary(text) for text in ("customer_id", "us-east-1", "2024-01-01", "http://localhost:8888/cb")]
    [True, True, True, True]
    >>> [is_ordinary(text) for text in ("hunter2", "correct horse battery staple", "analytical-engine-7")]
    [False, False, False]
    """
    value = value[:_LOOKED_AT]
    if looks_random(value):
        return False
    if _ADDRESS.fullmatch(value):
        return True
    if not is_plain(value):
        return False
    if value.startswith(("/", "~")):
        return True
    has_digits, has_letters = any(map(str.isdigit, value)), any(map(str.isalpha, value))
    if has_digits:
        # A year may stand before or after a name.
        return (not has_letters and not value.isdigit()) or ("_" in value and "-" not in value)
    return len(value) < 16 if value.isalpha() else len(value) < 16 or len(re.split("[ -]", value)) < 3


_ADDRESS = re.compile(
    # A region, a date, a host, an address.
    r"[a-z]{2,13}(?:-gov|-iso[a-z]?)?-(?:north|south|east|west|central){1,2}-?\d(?:-?[a-f])?"
    r"|\d{4}-\d\d-\d\d[T ][\d:.Z+-]*|(?:[a-z0-9-]{1,63}\.){1,8}[a-z]{2,24}(?::\d{1,5})?"
    r"|localhost(?::\d{1,5})?|\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?|[a-z][a-z0-9+.-]{1,20}://[^\s@]{0,400}"
)
