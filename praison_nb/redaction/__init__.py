"""Texts without secrets: one rule for errors, reprs, logs, files and what models are shown.

A secret is known by where it is used (`register`; a variable of the environment whose name says so), by its
form (a provider's key, a header, a password in an address, a private key), or by the name that stands before
it.

>>> redact("Incorrect API key provided: sk-abcdefgh12345678.")
'Incorrect API key provided: [key].'
>>> redact_and_name("postgres://ada:lovelace@host/db, {'pwd': 'x', 'sort_key': 'customer_id'}")
("postgres://ada:[key]@host/db, {'pwd': '[key]', 'sort_key': 'customer_id'}", ['a password in a URL', 'pwd'])
"""

from .hiding import (
    child_environment,
    collecting,
    has_secret,
    masked,
    notice,
    redact,
    redact_and_name,
    redact_value,
)
from .known import is_sent, known_in, register, register_address, register_settings
from .patterns import HIDDEN
