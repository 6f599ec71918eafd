"""The rows of one turn in the ledger, as they are at each moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from itertools import repeat

from ..events import RequestFinished, RequestStarted
from ..session import Usage
from ..turn import Turn
from . import writer
from .admission import Admission
from .labels import label, source_of
from .ledger import RequestRow, TurnRow
from .origin import current_origin
from .schema import LABELS, RUNNING
from .tags import encoded


class TurnRows:
    """Made where the turn is begun, so that it knows the cell. What is protected is set by the meter."""

    _sources: frozenset[str] = frozenset()
    _tiers: frozenset[str] = frozenset()

    def __init__(self, tags: Mapping[str, str], to: writer.Writer | None = None) -> None:
        self.origin, self.tags = current_origin(), encoded(tags)
        self._label = _Labels()
        self.writer = to or writer.current()
        self._elsewhere: Decimal | None = None
        self._most = Decimal(0)
        """USD that the turn may cost at its end, where it was admitted as a whole."""
        self._provider = ""
        self._open: dict[str, RequestRow] = {}
        """The requests that have begun and have not ended, by the ids of their beginnings."""
        self._request_began: float | None = None
        self._request_text: float | None = None

    def turn_row(self, turn: Turn) -> TurnRow:
        session = turn.session_usage
        is_provider_cost = session is not None and session.is_provider_cost
        # Were the kernel killed now, this is what would be known: of requests under way what their rows say.
        running = () if turn.ended is not None else tuple(self._open.values())
        output_tokens = turn.counted.output_tokens if running else turn.usage.output_tokens
        reserved = sum(row.reserved for row in running)
        estimate = sum((row.cost or Decimal(0) for row in running), Decimal(0))
        unpriced = 0 if turn.cost is not None else turn.unpriced_requests + turn.is_cut_off
        unpriced += sum(row.cost is None for row in running)
        return TurnRow(
            id=turn.id,
            labels=self._labels(
                turn,
                provider=self._provider,
                model=turn.model,
                cost_source=source_of(self._sources, session),
                status=turn.status.value,
                stop_reason=turn.stop_reason,
                error=type(turn.error).__name__ if turn.error else "",
                service_tier=next(iter(self._tiers), "") if len(self._tiers) < 2 else "mixed",
            ),
            time=turn.started,
            duration=turn.seconds,
            first_text=None if turn.first_text is None else turn.first_text - turn.started,
            requests=len(turn.requests) + len(running),
            unpriced=unpriced,
            usage=replace(turn.usage, output_tokens=output_tokens),
            cost=None if turn.cost is None or unpriced else turn.cost + estimate,
            priced=turn.known_cost + estimate,
            list_cost=session.list_cost if session else None,
            active=session.active_seconds if session else None,
            fees=turn.fees + (session.fees if session else 0),
            is_lower_bound=(not is_provider_cost and turn.is_lower_bound) or bool(running),
            estimated_cost=turn.estimated_cost + estimate,
            extra_cost=session.extra_cost if session else Decimal(0),
            elsewhere=self._elsewhere,
            reserved=max(Decimal(0), self._most - turn.known_cost - reserved),
            process=self.writer.process if turn.ended is None else "",
        )

    def running_row(self, event: RequestStarted, turn: Turn, admission: Admission) -> RequestRow:
        model = event.model or turn.model
        source = "unpriced" if admission.estimate is None else "table"
        return RequestRow(
            id=event.id,
            labels=self._labels(
                turn,
                provider=event.provider,
                model=model,
                cost_source=source,
                service_tier=event.service_tier,
            ),
            turn=turn.id,
            time=event.time,
            duration=None,
            first_text=None,
            usage=Usage(uncached_input_tokens=event.input_tokens, estimated=True),
            cost=admission.estimate,
            state=RUNNING,
            reserved=max(admission.reserved, admission.estimate or Decimal(0), self._most - turn.known_cost),
            is_lower_bound=True,
        )

    def request_row(self, event: RequestFinished, turn: Turn) -> RequestRow:
        began, text = (None, None) if event.thread else (self._request_began, self._request_text)
        return RequestRow(
            id=event.id,
            labels=self._labels(
                turn,
                provider=event.provider,
                model=event.model,
                cost_source=event.cost_source,
                service_tier=event.service_tier,
                price_source=event.price_source,
            ),
            turn=turn.id,
            time=event.time if began is None else began,
            duration=None if began is None else max(0.0, event.time - began),
            first_text=None if began is None or text is None else max(0.0, text - began),
            usage=event.usage or Usage(),
            cost=event.cost,
            fees=event.fees,
            is_lower_bound=event.is_lower_bound,
            started_id=event.started_id,
        )

    def _labels(self, turn: Turn, **more: str) -> tuple[str, ...]:
        labels = {
            "user": self.origin.user,
            "notebook": self.origin.notebook,
            "cell": self.origin.cell,
            "tags": self.tags,
            "session": turn.session,
            "session_id": turn.session_id,
            "backend": turn.backend,
            **more,
        }
        return tuple(map(self._label.__getitem__, map(labels.get, LABELS, repeat(""))))


class _Labels(dict[str, str]):
    """The texts as rows have them: most are the same in all rows of a turn."""

    def __missing__(self, text: str) -> str:
        self[text] = made = label(text)
        return made
