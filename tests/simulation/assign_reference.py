"""What a line in front of servers must do: by formulas, and by a recursion. Knows nothing of the engine.

Rates are a minute, times minutes, unless a name says otherwise. Sources: Erlang 1917; Palm 1957 (Erlang A);
Cobham 1954 (priorities); the recursion is Kiefer & Wolfowitz 1955.
"""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NEVER = -1


class Waiting(NamedTuple):
    """What Erlang C says of a line."""

    wait_share: float
    asa_min: float
    service_level: float


class Leaving(NamedTuple):
    """What Erlang A says of a line whose customers leave; `wait_min` is that of all, answered or not."""

    wait_share: float
    abandoned_share: float
    wait_min: float


def fcfs_starts(
    arrivals: Sequence[int], services: Sequence[int], servers: int, patiences: Sequence[int] | None = None
) -> list[int]:
    """When each of G/G/c's customers is served, first come first served; NEVER: left before it was their turn."""
    free = [0] * servers
    starts = []
    for number, (arrival, service) in enumerate(zip(arrivals, services, strict=True)):
        start = max(arrival, free[0])
        if patiences is not None and start - arrival > patiences[number]:
            starts.append(NEVER)
            continue
        heapq.heapreplace(free, start + service)
        starts.append(start)
    return starts


def erlang_b(servers: int, load: float) -> float:
    """The share that finds all servers busy, where nobody waits."""
    blocked = 1.0
    for count in range(1, servers + 1):
        blocked = load * blocked / (count + load * blocked)
    return blocked


def erlang_c(rate: float, aht: float, servers: int, within: float = 1 / 3) -> Waiting:
    """Where everybody waits; needs rate * aht < servers."""
    load = rate * aht
    blocked = erlang_b(servers, load)
    waits = blocked / (1 - load / servers * (1 - blocked))
    drain = servers / aht - rate
    return Waiting(waits, waits / drain, 1 - waits * math.exp(-drain * within))


def erlang_a(rate: float, aht: float, servers: int, patience: float) -> Leaving:
    """M/M/c+M by its birth-death chain, cut where it is below 1e-16 of its peak."""
    weights = [1.0]
    while len(weights) <= servers or weights[-1] > 1e-16 * max(weights):
        count = len(weights)
        weights.append(weights[-1] * rate / (min(count, servers) / aht + max(0, count - servers) / patience))
    total = math.fsum(weights)
    line = math.fsum(max(0, count - servers) * weight for count, weight in enumerate(weights)) / total
    return Leaving(math.fsum(weights[servers:]) / total, line / patience / rate, line / rate)


def cobham(rates: Sequence[float], aht: float, servers: int) -> list[float]:
    """Mean wait of each class of M/M/c, the first one served first, none interrupted; all have the same `aht`."""
    ahead = erlang_c(sum(rates), aht, servers).wait_share * aht / servers
    waits, before = [], 0.0
    for rate in rates:
        upto = before + rate * aht / servers
        waits.append(ahead / ((1 - before) * (1 - upto)))
        before = upto
    return waits


def ranked_starts(
    arrivals: Sequence[int], services: Sequence[int], servers: int, urgency: Callable[[int, int], int]
) -> list[int]:
    """As `fcfs_starts`, but whoever is most urgent when a server comes free is next: urgency(customer, now).

    Of equally urgent ones the first to come. Looks at everybody who waits, so it is slow where many do.
    """
    starts = [NEVER] * len(arrivals)
    free, busy, waiting, following = servers, list[int](), list[int](), 0
    while following < len(arrivals) or busy:
        if following < len(arrivals) and (not busy or arrivals[following] < busy[0]):
            now, following = arrivals[following], following + 1
            waiting.append(following - 1)
        else:
            now, free = heapq.heappop(busy), free + 1
        if free and waiting:
            chosen = max(waiting, key=lambda customer: (urgency(customer, now), -customer))
            waiting.remove(chosen)
            starts[chosen], free = now, free - 1
            heapq.heappush(busy, now + services[chosen])
    return starts


def paired(
    arrivals: Sequence[int], services: Sequence[int], servers: int, score: Callable[[int, int], float], guard: int
) -> list[int]:
    """Who serves whom when each pair is the best there is: score(customer, server).

    Nobody is overtaken by one who came more than `guard` later. One that arrives chooses among free servers, a server
    that comes free chooses among those who wait; an optimal matching of one with many is just that.
    """
    served_by = [NEVER] * len(arrivals)
    free, busy, waiting, following = set(range(servers)), list[tuple[int, int]](), list[int](), 0
    while following < len(arrivals) or busy:
        if following < len(arrivals) and (not busy or arrivals[following] < busy[0][0]):
            now, following = arrivals[following], following + 1
            waiting.append(following - 1)
        else:
            now, server = heapq.heappop(busy)
            free.add(server)
        if free and waiting:
            near = [each for each in waiting if arrivals[each] - arrivals[waiting[0]] <= guard]
            customer, server = max(((c, s) for c in near for s in free), key=lambda pair: score(*pair))
            waiting.remove(customer)
            free.remove(server)
            served_by[customer] = server
            heapq.heappush(busy, (now + services[customer], server))
    return served_by
