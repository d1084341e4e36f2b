"""Random commands of every kind: mostly such as can be, among them stale, doubled and impossible ones."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from msgspec.structs import replace

from router.assign.command import (
    Accept,
    CancelTask,
    CompleteTask,
    Configure,
    CreateTask,
    Decline,
    EscalateTask,
    Pair,
    PauseTask,
    PostponeTask,
    Propose,
    PutResource,
    RequeueTask,
    Restore,
    Resume,
    ResumeTask,
    SetPresence,
    SetQueue,
    Signal,
    Suspect,
    Tick,
    TransferTask,
    UpdateTask,
)
from router.assign.transition import OfferState, TaskState
from tests.simulation import assign_policy
from tests.simulation.assign_policy import CHANNELS, CLASSES, QUEUES, RESOURCES, SKILLS

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from router.assign.command import Command
    from router.assign.entity import Task
    from router.assign.gather import Matching
    from router.assign.policy import Policy
    from router.assign.state import State

S = 1_000_000_000
NOBODY, NOTHING = "nobody", "nothing"
_PRESENCES = ("available",) * 8 + ("busy", "away", "draining", "offline", "offline", "nonsense")


class Commands:
    """What clients, agents and supervisors might say to one engine."""

    def __init__(self, rng: Random, policy: Policy) -> None:
        self._rng = rng
        self._policy = policy
        self._numbers = count(1)
        self.matchings: list[Matching] = []
        kinds: dict[Callable[[State], Command], int] = {
            self._create: 24, self._accept: 20, self._decline: 4, self._complete: 16, self._cancel: 3, self._requeue: 2,
            self._transfer: 3, self._escalate: 2, self._pause: 2, self._resume_task: 2, self._postpone: 1,
            self._signal: 5, self._update: 2, self._presence: 10, self._put: 2, self._suspect: 2, self._restore: 2,
            self._set_queue: 1, self._propose: 4,
        }  # fmt: skip
        self._kinds = [make for make, weight in kinds.items() for _ in range(weight)]

    def opening(self) -> list[Command]:
        """The policy, and resources that sign in."""
        made: list[Command] = [Configure(policy=self._policy)]
        for number in range(self._rng.randint(1, RESOURCES)):
            put = assign_policy.resource(self._rng, self._policy, number)
            made += [put, SetPresence(resource_id=put.id, presence="available", session=f"s-{put.id}")]
        return made

    def draw(self, state: State) -> Command:
        """Any command; one in 16 under an Idempotency-Key of few, so that keys come again."""
        rng = self._rng
        roll = rng.random()
        if roll < 0.003:
            return self._configure()
        if roll < 0.005:
            return Resume(epoch=state.epoch + rng.choice((0, 1, 1)))
        command = rng.choice(self._kinds)(state)
        if roll > 0.9375:
            return replace(command, key=f"k{rng.randrange(6)}", digest=rng.choice((b"a", b"a", b"b")))
        return command

    def _configure(self) -> Command:
        """A policy with other values for the same queues, now and then with one queue fewer or more."""
        self._policy = assign_policy.policy(self._rng)
        return Configure(policy=self._policy)

    def _task(self, state: State, *wanted: TaskState) -> str:
        """Mostly one in a state where it makes sense; else any, or none at all."""
        tasks = state.tasks
        roll = self._rng.random()
        if roll < 0.02 or not tasks:
            return NOTHING
        if roll < 0.85:
            fitting = [task.id for task in tasks.values() if task.state in wanted]
            if fitting:
                return self._rng.choice(fitting)
        return self._rng.choice(list(tasks))

    def _resource(self, state: State) -> str:
        if not state.resources or self._rng.random() < 0.02:
            return NOBODY
        return self._rng.choice(list(state.resources))

    def _fence(self, state: State, task_id: str) -> int | None:
        """Mostly none; else that of the assignment, or a stale one."""
        task = state.tasks.get(task_id)
        if task is None or task.assignment is None or self._rng.random() < 0.6:
            return None
        return task.assignment.fence - self._rng.choice((0, 0, 0, 1))

    def _queue(self) -> str:
        return self._rng.choice(QUEUES) if self._rng.random() < 0.1 else self._rng.choice(tuple(self._policy.queues))

    def _create(self, state: State) -> Command:
        rng = self._rng
        number = rng.randrange(1, 200) if rng.random() < 0.03 else next(self._numbers)
        people = tuple(self._resource(state) for _ in range(rng.choice((0, 0, 0, 1, 2))))
        return CreateTask(
            id=f"t{number}",
            queue=self._queue(),
            channel=rng.choice(CHANNELS) if rng.random() < 0.99 else "smoke",
            dedupe_key=f"d{rng.randrange(4)}" if rng.random() < 0.1 else "",
            customer_id=f"c{rng.randrange(5)}",
            priority=rng.choice((None, None, 0, 1, 5, -3, 1000)),
            service_class=rng.choice(("", *CLASSES)) if rng.random() < 0.98 else "nobility",
            skills={rng.choice(SKILLS): rng.randint(1, 5)} if rng.random() < 0.25 else {},
            preferred=people if rng.random() < 0.5 else (),
            excluded=people if rng.random() < 0.3 else (),
            weight=rng.choice((1, 2, 3, 9)) if rng.random() < 0.05 else None,
            target_s=rng.choice((None, None, 5.0)),
            ttl_s=rng.choice((None, None, None, 10.0, 120.0)),
            open_ns=state.now_ns + rng.choice((1, 5, 60)) * S if rng.random() < 0.05 else 0,
            is_callback=rng.random() < 0.05,
            customer_lease_s=rng.choice((0.0, 0.0, 0.0, 0.0, 15.0)),
        )

    def _offer(self, state: State) -> tuple[str, str]:
        """An offer's id and whose it is: mostly a live one."""
        roll = self._rng.random()
        if roll < 0.02:
            return NOTHING, NOBODY
        offers = [offer for task in state.tasks.values() for offer in task.offers]
        live = [offer for offer in offers if offer.state is OfferState.PENDING]
        found = self._rng.choice(live if live and roll < 0.9 else offers or [None])
        return ("t1-1", NOBODY) if found is None else (found.id, found.resource_id)

    def _accept(self, state: State) -> Command:
        offer_id, resource_id = self._offer(state)
        rng = self._rng
        who = resource_id if rng.random() < 0.9 else rng.choice(("", self._resource(state)))
        holder = state.resources.get(resource_id)
        fence = None if holder is None or rng.random() < 0.7 else holder.epoch - rng.choice((0, 0, 1))
        return Accept(offer_id=offer_id, resource_id=who, fence=fence, actor=who)

    def _decline(self, state: State) -> Command:
        offer_id, resource_id = self._offer(state)
        return Decline(offer_id=offer_id, resource_id=self._rng.choice((resource_id, resource_id, "")), reason="busy")

    def _complete(self, state: State) -> Command:
        task_id = self._task(state, TaskState.ASSIGNED, TaskState.PAUSED, TaskState.WRAPPING)
        return CompleteTask(task_id=task_id, fence=self._fence(state, task_id), actor=self._actor(state, task_id))

    def _actor(self, state: State, task_id: str) -> str:
        """Mostly the holder, else a supervisor, the system, or somebody who has nothing to do with it."""
        task = state.tasks.get(task_id)
        if task is not None and task.assignment is not None and self._rng.random() < 0.8:
            return task.assignment.resource_id
        return self._rng.choice(("", "supervisor", self._resource(state)))

    def _cancel(self, state: State) -> Command:
        task_id = self._task(state, TaskState.QUEUED, TaskState.OFFERED, TaskState.SCHEDULED, TaskState.ASSIGNED)
        return CancelTask(task_id=task_id, reason=self._rng.choice(("abandoned", "caller", "deflected", "duplicate")))

    def _requeue(self, state: State) -> Command:
        task_id = self._task(state, TaskState.ASSIGNED, TaskState.PAUSED, TaskState.OFFERED)
        return RequeueTask(task_id=task_id, is_excluding=self._rng.random() < 0.5, actor=self._actor(state, task_id))

    def _transfer(self, state: State) -> Command:
        rng = self._rng
        task_id = self._task(state, TaskState.ASSIGNED, TaskState.PAUSED, TaskState.QUEUED, TaskState.OFFERED)
        to_queue = rng.random() < 0.5
        is_forced = not to_queue and rng.random() < 0.4
        return TransferTask(
            task_id=task_id,
            queue=self._queue() if to_queue or rng.random() < 0.1 else "",
            resource_id="" if to_queue else self._resource(state),
            is_forced=is_forced,
            is_age_reset=rng.random() < 0.2,
            context={"note": "moved"},
            actor="supervisor" if is_forced else self._actor(state, task_id),
        )

    def _escalate(self, state: State) -> Command:
        task_id = self._task(state, TaskState.ASSIGNED, TaskState.PAUSED)
        queue = self._rng.choice(("", "", self._queue()))
        return EscalateTask(task_id=task_id, queue=queue, fence=self._fence(state, task_id), context={"said": "human"})

    def _pause(self, state: State) -> Command:
        return PauseTask(task_id=self._task(state, TaskState.ASSIGNED))

    def _resume_task(self, state: State) -> Command:
        return ResumeTask(task_id=self._task(state, TaskState.PAUSED))

    def _postpone(self, state: State) -> Command:
        open_ns = self._rng.choice((0, state.now_ns + 30 * S, 1))
        return PostponeTask(task_id=self._task(state, TaskState.QUEUED), open_ns=open_ns)

    def _signal(self, state: State) -> Command:
        rng = self._rng
        task_id = self._task(state, TaskState.ASSIGNED, TaskState.PAUSED, TaskState.QUEUED)
        task: Task | None = state.tasks.get(task_id)
        holder = task.assignment.resource_id if task is not None and task.assignment is not None else NOBODY
        return Signal(
            task_id=task_id,
            source=rng.choice(("customer", "customer", holder)),
            sentiment=rng.choice((None, -0.9, -0.2, 0.5, 0.9)),
            is_turn=rng.random() < 0.4,
            is_failed=rng.random() < 0.2,
            wants_human=rng.random() < 0.1,
            fence=self._fence(state, task_id),
            queue=self._queue() if rng.random() < 0.1 else "",
        )

    def _update(self, state: State) -> Command:
        rng = self._rng
        task_id = self._task(state, TaskState.QUEUED, TaskState.OFFERED)
        task = state.tasks.get(task_id)
        return UpdateTask(
            task_id=task_id,
            if_version=task.version - rng.choice((0, 0, 1)) if task is not None and rng.random() < 0.3 else None,
            priority=rng.choice((None, 3, 10_000)),
            service_class=rng.choice((None, *CLASSES)),
            skills=rng.choice((None, {}, {rng.choice(SKILLS): rng.randint(1, 5)})),
            preferred=rng.choice((None, None, (self._resource(state),))),
        )

    def _presence(self, state: State) -> Command:
        resource_id = self._resource(state)
        session = self._session(state, resource_id)
        if self._rng.random() < 0.05:
            session = f"s{self._rng.randrange(100)}-{resource_id}"
        return SetPresence(resource_id=resource_id, presence=self._rng.choice(_PRESENCES), session=session)

    def _session(self, state: State, resource_id: str) -> str:
        resource = state.resources.get(resource_id)
        return "" if resource is None or self._rng.random() < 0.1 else resource.session

    def _put(self, state: State) -> PutResource:
        return assign_policy.resource(self._rng, self._policy, self._rng.randrange(RESOURCES))

    def _suspect(self, state: State) -> Command:
        resource_id = self._resource(state)
        return Suspect(resource_id=resource_id, session=self._session(state, resource_id))

    def _restore(self, state: State) -> Command:
        suspects = [each.id for each in state.resources.values() if each.is_suspect]
        resource_id = self._rng.choice(suspects) if suspects else self._resource(state)
        return Restore(resource_id=resource_id, session=self._session(state, resource_id))

    def _set_queue(self, state: State) -> Command:
        return SetQueue(queue=self._queue(), is_open=self._rng.choice((True, True, False, None)))

    def _propose(self, state: State) -> Command:
        """Answers a matching with random pairs, some in parts, late, twice, or with strangers; else: time passes."""
        if not self.matchings:
            return Tick()
        rng = self._rng
        asked = rng.choice(self.matchings)
        has_more = rng.random() < 0.3
        if not has_more and rng.random() < 0.8:
            self.matchings.remove(asked)
        del self.matchings[:-8]
        tasks = list(asked.task_ids)
        people = list(asked.resource_ids)
        rng.shuffle(people)
        if rng.random() < 0.1:
            tasks.append(self._task(state))
            people.append(self._resource(state))
        # Strict is wrong here: the shorter side limits the pairs.
        pairs = [Pair(task, person, rng.random()) for task, person in zip(tasks, people, strict=False)]
        part = pairs[: rng.randint(0, len(pairs))] if has_more else pairs
        return Propose(number=asked.number + (rng.random() < 0.02), pairs=tuple(part), has_more=has_more)
