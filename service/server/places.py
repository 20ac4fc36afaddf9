"""Who gives way when there is no place left: the slowest, and first of all a slow one of a client that has many.

Nobody gives way while there are places, and nobody is judged by the first moments: a network may be bad at first.
uvicorn's `limit_concurrency` refuses whoever comes last, so that a few slow clients keep all others out. nginx's
`limit_conn` bounds one address, but does not see who is slow; and the service may run without it.
"""

from collections import Counter
from functools import partial
from typing import cast

from service.access import network
from service.load.pace import Pace, slowest
from service.server.lingering import Lingering
from service.server.refusal import RefusalError

SPARE_CONNECTIONS = 200
"""Connections over the limit. Half of them may ask for a probe, which is always answered; the others are kept open
until their clients have read that there are too many."""

CROWD_CONNECTIONS = 10_000
"""As many more that are kept waiting before they are refused, as far as the process may have so many files open.

Who is refused at once connects again at once; thousands of such clients would take all the time there is.
"""

_REFUSED_A_SECOND = 250
_LONGEST_WAIT_SECONDS = 20.0
_LOOK_AGAIN_SECONDS = 0.1
"""Where no connection gives way, it is not looked for another one before: it would be looked for all the time."""

_PROBES = frozenset({b"livez", b"readyz", b"metrics"})
_PROBE_SECONDS = 1.0
"""A connection over the limit has so long to ask for a probe."""

_TURNED_AWAY_SECONDS = 2.0

_IDLE_SECONDS = 0.2
"""A connection counts as idle when it has waited for its next request for so long."""

_FAIR_SHARE = 10
"""A client that has more than one in so many of the places is the first that gives way."""


class Placed(Lingering):
    """A connection with a place; or without, in `turned_away`, or in `probing`, where it may ask for a probe."""

    turned_away: "set[Placed]"
    probing: "dict[Placed, None]"

    most_in_crowd = CROWD_CONNECTIONS
    """How many of those in `turned_away` may be kept waiting. Set in the class, as the next."""
    no_room_until = 0.0
    """Until when no connection is asked to give way."""

    pace: Pace | None = None
    """The pace of the body that arrives, or of the answer that waits for its reader, else None. With a pace, the
    connection may have to give way."""

    @property
    def client_host(self) -> str:
        """The address of the client; of one behind a trusted proxy, which is known once it has asked."""
        client = self.cycle.scope["client"] if self.answering() else self.client
        return client[0] if client else ""

    def take_place(self) -> bool:
        """Take a place, for which another may have to go. False without one: only a probe may be asked for then."""
        taken = len(self.connections) - len(self.turned_away) - len(self.probing)
        if taken <= self.settings.max_connections:
            return True
        if self.loop.time() >= self.no_room_until:
            if self._make_room():
                return True
            type(self).no_room_until = self.loop.time() + _LOOK_AGAIN_SECONDS
        if len(self.probing) >= SPARE_CONNECTIONS // 2:
            undecided = next((one for one in self.probing if not one.finished and not one.answering()), None)
            if undecided is not None:
                undecided.turn_away()
        if len(self.probing) < SPARE_CONNECTIONS // 2:
            self.probing[self] = None
            self.start_timer(_PROBE_SECONDS, self.turn_away)
        else:
            self.turn_away()
        return False

    def may_ask(self, url: bytes) -> bool:
        """Whether the connection may ask for this address."""
        return self not in self.probing or url.partition(b"?")[0].rpartition(b"/")[2] in _PROBES

    def turn_away(self) -> None:
        """Refuse the connection, whose request has not begun: in a crowd later, so that few are refused a second.

        Until then what it sends is thrown away.
        """
        self._without_place()
        crowd = len(self.turned_away) - SPARE_CONNECTIONS // 2
        if 0 < crowd <= self.most_in_crowd:
            self.discarding = True
            seconds = min(crowd / _REFUSED_A_SECOND, _LONGEST_WAIT_SECONDS)
            self.start_timer(seconds, partial(self.refuse, TooManyError()))
        else:
            self.refuse(TooManyError())

    def awaits_refusal(self) -> bool:
        """Whether it has been turned away and not yet told."""
        return self in self.turned_away and not self.finished and not self.answering()

    def linger_in_place(self, *, sending: bool) -> None:
        """Linger, and only for a moment where there is no place."""
        if self in self.probing:  # others may ask now
            self._without_place()
        if self in self.turned_away:
            few = len(self.turned_away) <= SPARE_CONNECTIONS // 2 + self.most_in_crowd
            self.linger(sending=sending and few, seconds=_TURNED_AWAY_SECONDS, may_give_way=False)
        else:
            self.linger(sending=sending, seconds=self.settings.linger_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self.turned_away.discard(self)
        self.probing.pop(self, None)
        super().connection_lost(exc)

    def refuse(self, refusal: RefusalError) -> None:
        """Take nothing more from the client, and tell it why."""
        raise NotImplementedError

    def break_off(self) -> None:
        """Cut the answer off, which nobody reads."""
        raise NotImplementedError

    def _make_room(self) -> bool:
        """Let the slowest of a client go that has too many, else a connection that waits for its next request, else
        the slowest of all; False where there is none."""
        others = [
            one for one in cast("set[Placed]", self.connections) if not one.discarding and one not in self.probing
        ]
        slow = slowest(others, max(1, self.settings.max_connections // _FAIR_SHARE))
        idle = self._longest_waiting() if slow is None else None
        if idle is not None:
            self.waiting.pop(idle)
            idle.transport.abort()
            return True
        slow = slow or slowest(others)
        if slow is None:
            return False
        slow._give_way()
        return True

    def _longest_waiting(self) -> Lingering | None:
        """Of the client with most connections that wait, the one that has waited longest.

        One that has just had its answer may have sent its next request already.
        """
        before = self.loop.time() - _IDLE_SECONDS
        waiting = [
            (one, network(cast("Placed", one).client_host))
            for one, since in self.waiting.items()
            if since <= before
        ]
        counts = Counter(client for _, client in waiting)
        return max(waiting, key=lambda pair: counts[pair[1]], default=(None, ""))[0]

    def _give_way(self) -> None:
        """Leave the place to another: with the answer cut off, or the body refused."""
        if not self.flow.write_paused:
            self._without_place()
            self.refuse(RefusalError(503, "this was the slowest of too many; try again in 1 s", "gave_way"))
        else:
            self.break_off()

    def _without_place(self) -> None:
        self.probing.pop(self, None)
        self.turned_away.add(self)


class TooManyError(RefusalError):
    """The problem of a connection for which there is no place."""

    def __init__(self) -> None:
        super().__init__(503, "too many connections; try again in 1 s", "connections")
