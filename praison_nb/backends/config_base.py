"""What the configs of agents share: what is secret in them is known from their making on, and leaves them by
no repr and no pickle."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, Self
from urllib.parse import urlsplit

from .. import redaction
from ..answer_type import AnswerType
from ..errors import ConfigError
from ..tools.builtin.registry import NAMES, resolve
from ..tools.policy import check_policies
from .arguments import refuse


class Secret(str):
    """A key, whose repr does not show it."""

    @classmethod
    def of(cls, key: str | None) -> Self | None:
        """`key`, None where there is none."""
        return cls(key) if key else None

    def __repr__(self) -> str:
        return repr(redaction.HIDDEN)


class Fields:
    """The base of a dataclass whose fields are given by name. Raises ConfigError for an unknown one."""

    def __new__(cls, *values: Any, **given: Any) -> Self:
        if values:
            raise ConfigError(f"{cls.__name__} takes its fields by name: {cls.__name__}(NAME=…).")
        known = [each.name for each in fields(cls)]  # type: ignore[arg-type]
        for name in given:
            if name not in known:
                raise refuse("No such field: ", name, known)
        return super().__new__(cls)

    @classmethod
    def of(cls, config: Self | None) -> Self:
        """`config`, or with None one of all defaults. Raises ConfigError for anything else."""
        if config is None or isinstance(config, cls):
            return config or cls()
        hint = f": {cls.__name__}(**config) makes one" if isinstance(config, Mapping) else ""
        kind = f"the class {config.__name__}" if isinstance(config, type) else type(config).__name__
        raise ConfigError(f"config must be a {cls.__name__}, not {kind}{hint}.")


class Config(Fields):
    """The base of a frozen dataclass. A pickle has no key: where it is read the variable counts. What goes
    into each request, such as `extra_headers`, is not in it either, and no value of it in a repr.

    It is checked when it is made: by the pydantic model that `_checked` names, and its tools and policies by
    those who know them."""

    system: str
    tools: Sequence[Any]
    policies: Mapping[str, str]
    working_dir: str
    _of_others = ""
    """What an error says of policies for tools that run elsewhere."""

    @classmethod
    def with_arguments(cls, config: Self | None, *, instructions: str | None = None, **given: Any) -> Self:
        """`config` as `of` has it, with the fields that are `given` beside it, but for those that are None.
        `instructions` are the system prompt where the config names none. Raises ConfigError."""
        made = cls.of(config)
        changes = {name: value for name, value in given.items() if value is not None}
        if instructions is not None and made.system == type(made).system:
            changes["system"] = instructions
        return replace(made, **changes) if changes else made  # type: ignore[type-var]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        # Else each dataclass below would make its own.
        cls.__repr__ = Config.__repr__  # type: ignore[method-assign]

    def __post_init__(self) -> None:
        self.register_secrets()
        if (output := getattr(self, "output", None)) is not None:
            object.__setattr__(self, "output", AnswerType.of(output))
        # Here, since it loads pydantic.
        from .validation import check

        names = resolve(self.local_tools, self.working_dir)
        hidden = [each.name for each in fields(self) if not each.repr]  # type: ignore[arg-type]
        check(*self._checked(names), hidden)
        policies = check_policies(self.policies, [*NAMES, *names], self._of_others)
        object.__setattr__(self, "policies", policies)

    def _checked(self, local_tools: Iterable[str]) -> tuple[Any, dict[str, Any]]:
        """The pydantic model of the fields, and what it is to check; `local_tools` are the names of those."""
        raise NotImplementedError

    @property
    def local_tools(self) -> Sequence[Callable[..., Any] | str]:
        """Those of `tools` that run here."""
        return self.tools

    def register_secrets(self) -> None:
        """From now on what is secret in it is hidden in all texts of this process. Raises ConfigError where
        a password in an address cannot be told from the rest of it."""
        for name in ("base_url", "api_base"):
            check_address(getattr(self, name, None), name)
        redaction.register_settings(vars(self))

    def __repr__(self) -> str:
        shown = [f.name for f in fields(self) if f.repr]  # type: ignore[arg-type]
        values = (f"{name}={redaction.masked(getattr(self, name), name)!r}" for name in shown)
        return redaction.redact(f"{type(self).__qualname__}({', '.join(values)})")

    def __getstate__(self) -> dict[str, Any]:
        return {name: _public(name, value) for name, value in vars(self).items()}

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        made = object.__new__(type(self))
        vars(made).update({name: copy.deepcopy(value, memo) for name, value in vars(self).items()})
        return made


_BLANK = re.compile(r"[\s\x00-\x20]")
# What stands for itself in the user's part of an address, and codes.
_USER_PART = re.compile(r"(?:[^\s\x00-\x20/?#@:\[\]\\\"<>^`{|}%]|%[0-9A-Fa-f]{2})*")


def check_address(address: object, name: str) -> None:
    """Raise ConfigError where the address has no host or none that can be, and where it has a user's name or
    password with characters that are to be encoded, such as `/` and `@`: a password that ends the host's name
    too early goes to another host."""
    if not isinstance(address, str) or not address.strip():
        return
    if "@" in address:
        _check_user(address, name)
    try:
        url = urlsplit(address.strip())
        # The port is read, and refused, when it is asked for.
        is_one = bool(url.hostname) and (url.port is None or url.port > 0) and not _BLANK.search(url.netloc)
    except ValueError:
        is_one = False
    if "://" in address and not is_one:
        raise ConfigError(f"{name} is no address: its host or its port cannot be one.")


def _check_user(address: str, name: str) -> None:
    rest = address.partition("://")[2] or address
    authority = re.split(r"[/?#\\]", rest, maxsplit=1)[0]
    user, at, _ = authority.rpartition("@")
    if at:
        parts = user.split(":", 1)
        is_right = all(_USER_PART.fullmatch(part.replace(":", "")) for part in parts)
        is_right = is_right and rest.count("@") == 1 and not re.search(r"\s", address)
    else:
        # An @ in the path or after it: a host and its port stand before it, or a password with a slash.
        is_right = bool(re.fullmatch(r"(?:[\w.-]*|\[[\da-fA-F:.]*\])(?::\d{1,5})?", authority))
        is_right = is_right and "#" not in rest
    if not is_right:
        redaction.register(rest.rpartition("@")[0].partition(":")[2], name, may_be_word=True)
        raise ConfigError(
            f"{name}: the user's name or password in it has characters that an address cannot have as they "
            "are: percent-encode both, as urllib.parse.quote(password, safe='') does."
        )


def _public(name: str, value: Any) -> Any:
    if name == "api_key":
        return None
    if isinstance(value, Mapping):
        value = {key: inner for key, inner in value.items() if not redaction.is_sent(str(key), inner)}
    public = redaction.redact_value(value, name)
    return value if public == value else public
