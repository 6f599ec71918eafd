"""What kind of an error a server means: by its codes first, then by its words, then by the HTTP status.

>>> kind_of(429, Reason("Too much.", codes=("insufficient_quota",)))
<Kind.QUOTA: 'quota'>
"""

from __future__ import annotations

import re
from enum import Enum

from .error_reasons import Reason


class Kind(Enum):
    """What went wrong, for who has to do something about it."""

    KEY = "key"
    FORBIDDEN = "forbidden"
    MODEL = "model"
    PATH = "path"
    QUOTA = "quota"
    RATE = "rate"
    CONTEXT = "context"
    TIMEOUT = "timeout"
    PROXY = "proxy"
    SERVER = "server"
    REJECTED = "rejected"


def kind_of(status: int | None, reason: Reason, model: str = "") -> Kind | None:
    """The kind, None where nothing tells it: an error inside a stream may have neither status nor code."""
    codes = [re.sub(r"[^a-z0-9]", "", code) for code in reason.codes]
    if status == 407:
        return Kind.PROXY
    return (
        _of_codes(codes, _SURE)
        or _of_text(status, reason, model)
        or _of_status(status, reason)
        or _of_codes(codes, _VAGUE)
    )


def status_in(reason: Reason) -> int | None:
    """The HTTP status that an error inside a stream has as its code."""
    return next((int(code) for code in reason.codes if re.fullmatch(r"[45]\d\d", code)), None)


# Without what is no letter and no digit: servers write insufficient_quota and InsufficientQuota.
_SURE = {
    Kind.CONTEXT: "contextlengthexceeded contextwindowexceeded contextwindowexceedederror prompttoolong "
    "exceedcontextsizeerror modelcontextwindowexceeded maxcontextlengthexceeded contextlengthexceedederror",
    Kind.QUOTA: "insufficientquota insufficientbalance insufficientcredits insufficientfunds billingerror "
    "billinghardlimitreached billingnotactive creditbalancetoolow exceededcurrentquotaerror paymentrequired "
    "budgetexceeded arrearage accountoverdueerror usagelimitreached",
    Kind.MODEL: "modelnotfound modelnotfounderror invalidmodel unknownmodel modelnotavailable modelnotexist "
    "modeldecommissioned deploymentnotfound",
    Kind.KEY: "invalidapikey apikeyinvalid incorrectapikey apikeyexpired invalidauthentication "
    "unauthenticated invalidauthenticationerror authenticationerror "
    "unrecognizedclientexception accountdeactivated",
}
_VAGUE = {
    Kind.RATE: "ratelimitexceeded ratelimiterror ratelimitreached ratelimited ratelimit toomanyrequests "
    "resourceexhausted throttling throttlingexception slowdown",
    Kind.TIMEOUT: "timeouterror timeout deadlineexceeded requesttimeout gatewaytimeout",
    Kind.SERVER: "overloaded overloadederror engineoverloaded engineoverloadederror servererror internal "
    "internalservererror internalerror apierror serviceunavailable unavailable serviceunavailableerror",
    Kind.FORBIDDEN: "permissiondenied permissionerror accessdeniedexception forbidden",
    Kind.KEY: "unauthorized",
    Kind.REJECTED: "invalidrequesterror invalidargument badrequest contentfilter contentpolicyviolation",
}


def _of_codes(codes: list[str], table: dict[Kind, str]) -> Kind | None:
    for code in codes:
        for kind, known in table.items():
            if code in known.split():
                return kind
    return None


_CONTEXT = re.compile(
    r"context[ _-]?(length|window|size|limit|overflow)|maximum context|exceed_context"
    r"|\b(input|prompt|message|conversation|decoder|history)\w*\b[^.;\n]{0,100}"
    r"(too (long|large|big)|longer than|exceed)"
    r"|too many (input |prompt )?tokens|exceed\w*[^.;\n]{0,60}(token limit|tokens? allowed)"
    r"|token (limit|count)[^.;\n]{0,60}exceed"
    r"|reduce the (length|size|number) of|shorten (the|your) |tokens must be reduced|request too large"
    r"|(maximum|max) (prompt|input|model|sequence) len|max_(model|input|seq)_len|range of input length"
    r"|max_new_tokens`? must be|(inputs?|prompt)`? must have (less|fewer) than",
    re.I,
)
# So many a minute is no length, and neither is the limit of an answer, of one field or of a picture.
_NO_CONTEXT = re.compile(
    r"per[- ](second|min|hour|day)|rate[- ]limit|\b[TR]P[MD]\b|string too long"
    r"|\b(image|picture|audio|video|file|attachment)s?\b[^.;\n]{0,60}(too|exceed|larger)"
    r"|^\W*(the )?max_\w*tokens",
    re.I,
)
_TOO_LARGE = re.compile(r"request too large|tokens must be reduced", re.I)
_QUOTA = re.compile(
    r"insufficient[ _](quota|balance|credit|fund)|credit balance|current quota|\bbilling\b|payment required"
    r"|(out of|more|enough|no|requires) credits|budget has been exceeded|(spend|spending|usage|credit) limit",
    re.I,
)
_KEY = re.compile(
    r"api[-_ ]?key|authenticat|unauthori[sz]ed|credential|(access|bearer|auth|invalid|expired|missing) token",
    re.I,
)
_BAD_KEY = re.compile(
    r"api[-_ ]?key (provided )?(is )?(not valid|invalid|incorrect|expired|not found|missing)"
    r"|(invalid|incorrect|expired|missing|no|valid) api[-_ ]?key",
    re.I,
)
_MODEL = re.compile(
    r"\b(model|deployment)s?\b[^;\n]{0,120}?\b(not found|(do|does|did)(es)?( no|n')t exist|not exist|retired"
    r"|is not (a valid|available)|is unknown|no longer|decommissioned)"
    r"|\b(unknown|invalid|no such|not found the|unable to access|nonexistent) model\b|not a valid model"
    r"|^model:",
    re.I,
)
_PATH = re.compile(
    r"^\W*((404|405)\W*)?((file|page|resource|route|endpoint|path|url|error) )?not[ _]?found\W*$"
    r"|method not allowed|cannot (post|get) /|(unknown|invalid|no such) (request )?(url|path|route|endpoint)"
    r"|no (matching )?(route|handler)|^\W*$",
    re.I,
)


def _of_text(status: int | None, reason: Reason, model: str) -> Kind | None:
    text = reason.text
    is_other = _NO_CONTEXT.search(text) and not _TOO_LARGE.search(text)
    if status not in (401, 403, 404) and _CONTEXT.search(text) and not is_other:
        return Kind.CONTEXT
    if status in (None, 400, 402, 403, 429) and _QUOTA.search(text):
        # Gemini calls its limit of a minute a quota, and says when to come again.
        return Kind.RATE if reason.retry_after is not None else Kind.QUOTA
    if status in (None, 400, 403, 422) and _BAD_KEY.search(text):
        return Kind.KEY
    if status in (None, 400, 404, 410, 422) and _MODEL.search(text):
        return Kind.MODEL
    if status == 404 and model and re.search(rf"(?<!\w){re.escape(model)}(?!\w)", text):
        return Kind.MODEL
    return None


def _of_status(status: int | None, reason: Reason) -> Kind | None:
    if status is None:
        return None
    if status == 403:
        return Kind.KEY if _KEY.search(reason.text) else Kind.FORBIDDEN
    if status in (404, 405):
        return Kind.PATH if _PATH.search(reason.text) or reason.is_page else Kind.REJECTED
    known = {401: Kind.KEY, 402: Kind.QUOTA, 408: Kind.TIMEOUT, 413: Kind.CONTEXT, 429: Kind.RATE}
    if status >= 500:
        return Kind.TIMEOUT if status in (504, 524) else Kind.SERVER
    return known.get(status, Kind.REJECTED)
