"""Widgets to put anywhere: a session's status, and what it used.

>>> from praison_nb.backends.scripted import ScriptedBackend
>>> from praison_nb.notebook.widgets.badges import StatusBadge
>>> StatusBadge(ScriptedBackend([])).label
'none'
"""

from __future__ import annotations

from .base import SessionFollower


class UsagePanel(SessionFollower):
    """Status, tokens and cost of a backend's (or an agent's) current session, or of one Session. Raises
    ConfigError for what is none of these.

    >>> from praison_nb import ScriptedBackend, UsagePanel
    >>> from praison_nb.events import TextDelta
    >>> backend = ScriptedBackend([TextDelta(text="Hello")])
    >>> panel = UsagePanel(backend)
    >>> _ = backend.begin("Hi").wait()
    >>> panel.label.split(" · ")[0]
    'idle'
    """


class StatusBadge(SessionFollower):
    """The status of a backend's (or an agent's) current session, or of one Session, as text. Raises
    ConfigError for what is none of these.

    >>> from praison_nb import ScriptedBackend, StatusBadge
    >>> StatusBadge(ScriptedBackend([])).label
    'none'
    """

    kind = "badge"
