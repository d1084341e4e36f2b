"""Statistics of queues and agents: a fold of the engine's events, exact to the event.

After a restart: fold the events that the journal still has, oldest first, then `align` with the state, which knows what
those no longer tell. Memory: a meter a queue (at most 370 kB) and one a resource that was seen within a day (22 kB at
most; 10 to 15 kB after eight hours of work), and 200 bytes an open task.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.assign.transition import TERMINAL, WAITING, Presence
from router.insight.figures import A, L, Q, of_agent, of_queue
from router.insight.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from router.assign.event import Event
    from router.assign.policy import Policy
    from router.assign.state import State
    from router.insight.figures import AgentFigures, QueueFigures

_MS, _US = 1_000_000, 1_000
_ALL = 1 << 62
"""More than any command has events."""


@dataclass(slots=True)
class _Open:
    """A task that has not ended."""

    queue: str = ""
    entered_ns: int = 0
    is_waiting: bool = False
    is_callback: bool = False
    resource_id: str = ""
    weight: int = 0
    had_bot: bool = False
    had_human: bool = False


class Statistics:
    """Owned by whoever folds; time comes with the events, and must not go back."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._tally = Tally()
        self._open: dict[str, _Open] = {}
        self._cursor = 0, 0  # of the last event that counted
        self._folds: dict[str, Callable[[Event], None]] = {
            "task.assigned": self._assigned,
            "task.released": self._released,
            "task.paused": self._weighs,
            "task.resumed": self._weighs,
            "task.wrapping": self._weighs,
            "task.updated": self._updated,
            "task.scheduled": self._left,
            "task.completed": self._completed,
            "task.canceled": self._canceled,
            "offer.issued": lambda event: self._offer(event, Q.OFFERS, A.OFFERS),
            "offer.accepted": lambda event: self._offer(event, Q.ACCEPTED, A.ACCEPTED),
            "offer.declined": lambda event: self._offer(event, Q.DECLINED, A.DECLINED),
            "offer.expired": lambda event: self._offer(event, Q.EXPIRED, A.EXPIRED),
            "offer.rescinded": lambda event: self._offer(event, Q.RESCINDED, None),
            "resource.updated": self._resource,
            "resource.presence": self._resource,
            "resource.restored": self._resource,
            "resource.missed": lambda event: self._resource(event, Presence.MISSED),
            "resource.lost": lambda event: self._resource(event, Presence.OFFLINE),
        }

    def adopt(self, policy: Policy) -> None:
        """Another policy is in force: targets and what counts as a short abandonment are its."""
        self._policy = policy

    def fold(self, event: Event) -> None:
        """Count one event. Those of unknown types, and those that were counted before, count nothing."""
        cursor = event.position, int(event.id.rpartition("-")[2])
        if cursor <= self._cursor:
            return
        self._cursor = cursor
        # However a task comes into a queue, it has a place in it then.
        fold = self._entered if "position" in event.data else self._folds.get(event.type)
        if fold is not None:
            fold(event)

    # What is told.

    def queues(self, window_s: float, now_ns: int) -> tuple[QueueFigures, ...]:
        """Of all queues of the policy, by name. `window_s`: up to a day."""
        now_ms, told = now_ns // _MS, []
        for name, policy in sorted(self._policy.queues.items()):
            queue = self._tally.queue(name, now_ms)
            start_ms = queue.meter.start_of(int(window_s * 1e3), now_ms)
            longest_ns = next(iter(queue.waiting.values()), None)
            told.append(
                of_queue(
                    name, queue.meter.window(start_ms, now_ms), queue.meter.levels,
                    window_s=(now_ms - start_ms) / 1e3, target_s=policy.target_s,
                    longest_wait_s=None if longest_ns is None else max(0, now_ns - longest_ns) / 1e9,
                )
            )  # fmt: skip
        return tuple(told)

    def seen(self, now_ns: int) -> list[str]:
        """Ids of all resources that were seen within a day, sorted."""
        self._tally.forget(now_ns // _MS)
        return sorted(self._tally.agents)

    def agents(self, window_s: float, now_ns: int, names: Iterable[str] | None = None) -> tuple[AgentFigures, ...]:
        """Args: names: of those among them that were `seen`; without: of all. 12 us each."""
        now_ms, told = now_ns // _MS, []
        for name in self.seen(now_ns) if names is None else names:
            if (agent := self._tally.agents.get(name)) is None:
                continue
            start_ms = agent.meter.start_of(int(window_s * 1e3), now_ms)
            told.append(
                of_agent(
                    agent.meter.window(start_ms, now_ms), resource_id=name, kind=agent.kind, queues=agent.queues,
                    presence=agent.presence, window_s=(now_ms - start_ms) / 1e3,
                )
            )  # fmt: skip
        return tuple(told)

    def total(self, queue: str, counter: Q) -> int:
        """Since the start, for metrics."""
        found = self._tally.queues.get(queue)
        return 0 if found is None else found.meter.totals[counter]

    def totals(self) -> dict[tuple[str, Q], int]:
        return {
            (name, counter): queue.meter.totals[counter] for name, queue in self._tally.queues.items() for counter in Q
        }

    def level(self, queue: str, level: L) -> int:
        """Now, for metrics."""
        found = self._tally.queues.get(queue)
        return 0 if found is None else found.meter.levels[level]

    def longest_wait_s(self, queue: str, now_ns: int) -> float:
        """0.0: nobody waits."""
        found = self._tally.queues.get(queue)
        since_ns = now_ns if found is None else next(iter(found.waiting.values()), now_ns)
        return max(0, now_ns - since_ns) / 1e9

    # Restoring.

    def align(self, state: State, now_ns: int) -> None:
        """From now on, who waits, works and is there is what the state says, and what led to it is counted no more."""
        now_ms, self._cursor = now_ns // _MS, (state.position, _ALL)
        self._open.clear()
        for name in {*self._tally.queues, *state.policy.queues}:
            queue = self._tally.queue(name, now_ms)
            queue.meter.shift(L.WAITING, -queue.meter.levels[L.WAITING], now_ms)
            queue.waiting.clear()
        busy: dict[str, int] = {}
        for task in sorted(state.tasks.values(), key=lambda task: (task.entered_ns, task.number)):
            if task.state in TERMINAL:
                continue
            held = task.assignment
            holder = state.resources[held.resource_id] if held is not None else None
            found = self._open[task.id] = _Open(
                task.queue, task.entered_ns, task.state in WAITING, task.is_callback,
                resource_id="" if held is None else held.resource_id, weight=0 if held is None else held.weight,
                had_bot=bool(task.kinds) or (holder is not None and holder.kind != "agent"),
                had_human=holder is not None and holder.kind == "agent",
            )  # fmt: skip
            if held is not None:
                busy[held.resource_id] = busy.get(held.resource_id, 0) + held.weight
            if found.is_waiting:
                self._wait(task.id, found, now_ms)
        for name in {*self._tally.agents, *state.resources}:
            agent, resource = self._tally.agent(name, now_ms), state.resources.get(name)
            if resource is None:
                self._tally.change(agent, now_ms, presence=Presence.OFFLINE.value, busy=0)
            else:
                self._tally.change(
                    agent, now_ms, kind=resource.kind, queues=resource.queues, presence=resource.presence.value,
                    capacity=resource.capacity, busy=busy.get(name, 0),
                )  # fmt: skip

    # Tasks.

    def _entered(self, event: Event) -> None:
        """Into a queue, from another one or from nowhere."""
        self._left(event)
        task, now_ms = self._task(event), event.at_ns // _MS
        task.queue, task.entered_ns, task.is_waiting = str(event.data["queue"]), event.at_ns, True
        task.is_callback = bool(event.data.get("is_callback"))
        self._tally.count(task.queue, Q.QUEUED, now_ms)
        if task.is_callback:
            self._tally.count(task.queue, Q.CALLBACKS, now_ms)
        self._wait(event.subject, task, now_ms)

    def _wait(self, task_id: str, task: _Open, now_ms: int) -> None:
        queue = self._tally.queue(task.queue, now_ms)
        queue.waiting[task_id] = task.entered_ns
        queue.meter.shift(L.WAITING, 1, now_ms)

    def _stop_waiting(self, event: Event) -> _Open | None:
        """None: it did not wait."""
        task = self._open.get(event.subject)
        if task is None or not task.is_waiting:
            return None
        task.is_waiting = False
        queue = self._tally.queue(task.queue, event.at_ns // _MS)
        del queue.waiting[event.subject]
        queue.meter.shift(L.WAITING, -1, event.at_ns // _MS)
        return task

    def _left(self, event: Event) -> None:
        """Out of its queue without an answer, and not for want of patience."""
        task = self._stop_waiting(event)
        if task is not None:
            self._tally.count(task.queue, Q.LEFT, event.at_ns // _MS)

    def _updated(self, event: Event) -> None:
        task = self._open.get(event.subject)
        if task is not None and event.data.get("is_callback") and not task.is_callback:
            task.is_callback = True
            if task.is_waiting:
                self._tally.count(task.queue, Q.CALLBACKS, event.at_ns // _MS)

    def _assigned(self, event: Event) -> None:
        waited, now_ms = self._stop_waiting(event), event.at_ns // _MS
        if waited is not None:
            wait_ns = event.at_ns - waited.entered_ns
            self._tally.count(waited.queue, Q.ANSWERED, now_ms)
            self._tally.count(waited.queue, Q.WAITED_US, now_ms, wait_ns // _US)
            self._tally.count(waited.queue, Q.ANSWERED_IN, now_ms, int(wait_ns <= self._target_ns(event)))
        task = self._task(event)
        task.queue = str(event.data["queue"])
        if event.data.get("kind", "agent") == "agent":
            task.had_human = True
        else:
            task.had_bot = True
        task.resource_id, task.weight = str(event.data["resource_id"]), int(event.data["weight"])
        agent = self._tally.agent(task.resource_id, now_ms)
        self._tally.change(agent, now_ms, busy=agent.busy + task.weight)

    def _weighs(self, event: Event) -> None:
        """What it holds of its resource has changed."""
        task = self._open.get(event.subject)
        if task is not None and task.resource_id:
            agent, now_ms = self._tally.agent(task.resource_id, event.at_ns // _MS), event.at_ns // _MS
            before, task.weight = task.weight, int(event.data["weight"])
            self._tally.change(agent, now_ms, busy=max(0, agent.busy + task.weight - before))

    def _released(self, event: Event) -> None:
        """Out of somebody's hands, whatever becomes of it."""
        data, now_ms = event.data, event.at_ns // _MS
        name, queue = str(data["resource_id"]), str(data["queue"])
        agent = self._tally.agent(name, now_ms)
        task = self._open.get(event.subject)
        if task is not None and task.resource_id == name:
            self._tally.change(agent, now_ms, busy=max(0, agent.busy - task.weight))
            task.resource_id, task.weight = "", 0
        for meter, at in ((self._tally.queue(queue, now_ms).meter, Q), (agent.meter, A)):
            meter.add(at.HANDLED, 1, now_ms)
            meter.add(at.HANDLED_US, round(float(data.get("handled_s", 0)) * 1e6), now_ms)
            meter.add(at.WRAPPED_US, round(float(data.get("wrap_s", 0)) * 1e6), now_ms)
            meter.add(at.TRANSFERRED, int(data.get("reason") == "transferred"), now_ms)

    def _completed(self, event: Event) -> None:
        self._released(event)
        self._ended(event, Q.COMPLETED)

    def _canceled(self, event: Event) -> None:
        task, now_ms, reason = self._stop_waiting(event), event.at_ns // _MS, event.data.get("reason")
        if "resource_id" in event.data:
            self._released(event)
        if task is not None:
            self._gave_up(event, task) if reason == "abandoned" else self._tally.count(task.queue, Q.LEFT, now_ms)
        if reason == "deflected":
            self._tally.count(str(event.data["queue"]), Q.DEFLECTED, now_ms)
        self._ended(event, Q.CANCELED)

    def _gave_up(self, event: Event, task: _Open) -> None:
        policy, now_ms = self._policy.queues.get(task.queue), event.at_ns // _MS
        wait_ns = event.at_ns - task.entered_ns
        if task.is_callback:
            self._tally.count(task.queue, Q.LEFT, now_ms)
        elif policy is not None and wait_ns < policy.short_abandon_s * 1e9:
            self._tally.count(task.queue, Q.SHORT_ABANDONED, now_ms)
        else:
            self._tally.count(task.queue, Q.ABANDONED, now_ms)
            self._tally.count(task.queue, Q.ABANDONED_IN, now_ms, int(wait_ns <= self._target_ns(event)))

    def _ended(self, event: Event, how: Q) -> None:
        task, queue, now_ms = self._open.pop(event.subject, _Open()), str(event.data["queue"]), event.at_ns // _MS
        self._tally.count(queue, how, now_ms)
        if task.had_bot:
            self._tally.count(queue, Q.BOT_ENDED, now_ms)
            self._tally.count(queue, Q.CONTAINED, now_ms, int(how is Q.COMPLETED and not task.had_human))

    def _target_ns(self, event: Event) -> float:
        """The task's own; of one that has none its queue's."""
        policy = self._policy.queues.get(str(event.data["queue"]))
        return float(event.data.get("target_s") or (0.0 if policy is None else policy.target_s)) * 1e9

    # Resources.

    def _offer(self, event: Event, of_queue: Q, of_agent: A | None) -> None:
        now_ms = event.at_ns // _MS
        self._tally.count(str(event.data["queue"]), of_queue, now_ms)
        if of_agent is not None:
            self._tally.agent(str(event.data["resource_id"]), now_ms).meter.add(of_agent, 1, now_ms)

    def _resource(self, event: Event, presence: Presence | None = None) -> None:
        data, now_ms = event.data, event.at_ns // _MS
        agent = self._tally.agent(event.subject, now_ms)
        self._tally.change(
            agent, now_ms, kind=data.get("resource_kind", agent.kind), queues=tuple(data.get("queues", agent.queues)),
            presence=str(data.get("presence", agent.presence) if presence is None else presence.value),
            capacity=int(data.get("capacity", agent.capacity)),
        )  # fmt: skip

    def _task(self, event: Event) -> _Open:
        return self._open.setdefault(event.subject, _Open())
