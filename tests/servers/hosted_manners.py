"""What servers of the same API do differently, and clients must live with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass
class Manners:
    """How the hosted test server does what the API leaves open; a test changes `server.manners`."""

    take_seconds: float = 0.0
    """A message waits so long, in a session that is idle, until it is taken."""
    takes_first: bool = False
    """The message's second copy comes before the session is running, not after."""
    tells_running: bool = True
    dates_messages: bool = True
    """A message has a second copy, with the time when it was taken."""
    dates_late: bool = False
    """That copy comes behind the answer, with the time when the message was done."""
    tells_messages: bool | Literal["history"] = True
    """Streams and history have the messages of users; with "history" that alone."""
    lists_by_arrival: bool = False
    """The history has a message where it was sent, not where it was taken."""
    idles_between: bool = False
    """The session goes idle between two messages that wait."""
    starts_idle: bool = False
    """A new session has run and gone idle already, as one whose container was set up."""
    tells_agent: bool = True
    """A session says which agent it has."""
    sets_up_first: bool = False
    """A session that has a message runs and goes idle before it takes it."""
    tells_permission: bool = True
    """A tool use has the optional `evaluated_permission`."""
    names_interrupts: bool = True
    """An interrupt has an id, where it is told of."""
    mixed_status: int = 0
    """How answers and an interrupt in one request are refused; 0 takes them."""
    takes_threads: bool = False
    """An answer may name the thread of a sub-agent."""
    posts_spans: bool = False
    """The session's stream has its sub-agents' requests too, each with its thread's id."""
    lists_threads: bool = True
    usage_event: bool = True
    """A `session.usage` comes before each idle."""
