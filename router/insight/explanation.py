"""What is told of a task to whoever asks why: for the wire, and in sentences for a person."""

from __future__ import annotations

import msgspec


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """One condition on resources, in the order in which they are looked at."""

    name: str
    """logged_in, queue, channel, kind, skills, step_skills, preferred, condition, excluded, presence, capacity."""
    kept: int
    """Resources that meet it and all before it."""


class Unblock(msgspec.Struct, frozen=True, kw_only=True):
    """One change after which the task could be offered at once."""

    kind: str
    """open_queue, begin, lift_exclusion, capacity, presence, next_step, lower_skill, drop_skill, lower_step_skill,
    drop_step_skill, ask_others, transfer, channel, kind, condition, sign_in, add_resource."""
    about: str = ""
    """The skill, queue, channel, kind or presence that changes."""
    level: int | None = None
    """Of a skill, when lowered."""
    in_s: float | None = None
    """It comes by itself then."""
    candidates: int
    """Resources that could take the task then."""
    resource_ids: tuple[str, ...] = ()
    """Some of them."""
    is_recommended: bool = False
    """The cheapest that has candidates; one of all."""
    sentence: str


class Ahead(msgspec.Struct, frozen=True, kw_only=True):
    """A task that is served sooner. `by`: priority, class, age."""

    task_id: str
    by: str


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """One of its last offers."""

    offer_id: str
    resource_id: str
    state: str
    issued_s: float
    """Ago."""
    reason: str
    order: str
    """Why this task: order, priority, deadline, score, preferred."""
    rank: str
    """Why this resource: longest_idle, least_load, round_robin, score, cost, preferred, force."""


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """Who has it, and why."""

    resource_id: str
    waited_s: float | None
    """Until it was accepted; None: the offer is forgotten."""
    order: str
    rank: str
    value: float
    """What the rank goes by (`Offer.value`)."""
    candidates: int
    """How many were free for it then; 0: unknown, or forced."""


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why a task waits, or why it went where it went."""

    task_id: str
    state: str
    queue: str
    blocking: str
    """The first filter that nobody is left behind; else closed, later (a callback), matching (a batch is being
    solved), or empty: nothing is in its way."""
    filters: tuple[Filter, ...] = ()
    unblock: tuple[Unblock, ...] = ()
    """Cheapest first."""
    position: int | None = None
    ewt_s: float | None = None
    waited_s: float = 0.0
    """Since it came into the queue."""
    ahead: tuple[Ahead, ...] = ()
    """Some of those ahead, the most urgent first."""
    step: int = 0
    steps: int = 1
    next_step_s: float | None = None
    """From now; None: no more step comes."""
    offers: tuple[Tried, ...] = ()
    """The last, the newest first."""
    offers_total: int = 0
    target_s: float | None = None
    slack_s: float | None = None
    """Until the target; below 0: it is late by so much."""
    chosen: Chosen | None = None
    sentences: tuple[str, ...] = ()


WORDS = {
    "logged_in": "is signed in",
    "queue": "works for the queue",
    "channel": "takes its channel",
    "kind": "is of a kind that may take it",
    "skills": "has the skills that it needs",
    "step_skills": "has the skills that the present step asks for",
    "preferred": "is one of those whom it is kept for",
    "condition": "meets the condition of the present step",
    "excluded": "has not just declined or missed it",
    "presence": "is available",
    "capacity": "has room for it",
}
"""Of filters: nobody is left who …"""


def describe(told: Explanation) -> tuple[str, ...]:
    """In plain words, the most important first."""
    sentences = [_headline(told)]
    if told.blocking in WORDS:
        sentences.append(_why(told))
    sentences += [change.sentence for change in told.unblock if change.is_recommended]
    if told.position is not None:
        wait = "nobody who could take it is at work" if told.ewt_s is None else f"about {span(told.ewt_s)} more"
        sentences.append(f"It is number {told.position} in {told.queue}; expected wait: {wait}.")
    if told.ahead:
        first = told.ahead[0]
        reason = {"priority": "a higher priority", "class": "its class", "age": "its age"}[first.by]
        sentences.append(f"Ahead of it by {reason}: {first.task_id}.")
    if told.next_step_s is not None:
        sentences.append(
            f"It is in step {told.step + 1} of {told.steps}; the next one begins in {span(told.next_step_s)}."
        )
    if told.offers and told.chosen is None:
        last = told.offers[0]
        ended = f"{last.state}, {last.reason}" if last.reason else last.state
        asked = "is asked now" if last.state == "pending" else f"was asked {span(last.issued_s)} ago: {ended}"
        sentences.append(f"Offers so far: {told.offers_total}; {last.resource_id} {asked}.")
    if told.slack_s is not None and told.position is not None:
        due = f"in {span(told.slack_s)}" if told.slack_s >= 0 else f"{span(-told.slack_s)} ago"
        sentences.append(f"It should be accepted within {span(told.target_s or 0)}: {due}.")
    return tuple(sentences)


def _headline(told: Explanation) -> str:
    name = f"Task {told.task_id}"
    if told.chosen is not None:
        waited = "" if told.chosen.waited_s is None else f" after {span(told.chosen.waited_s)}"
        return f"{name} went to {told.chosen.resource_id}{waited}, {_chosen_by(told.chosen)}; it is {told.state}."
    if told.state in {"completed", "canceled"}:
        return f"{name} is {told.state}; nobody has it."
    if told.state == "offered":
        return f"{name} is being offered: {told.offers[0].resource_id} is asked now."
    why = {
        "closed": f"queue {told.queue} is closed",
        "later": "its time has not come yet",
        "matching": "a batch of tasks is being matched",
        "": "it is offered with the next change, for somebody is free",
    }.get(told.blocking, "nobody can take it now")
    return f"{name} has waited {span(told.waited_s)} in {told.queue}: {why}."


def _chosen_by(chosen: Chosen) -> str:
    why = {
        "longest_idle": f"who had been idle longest ({span(chosen.value)})",
        "least_load": f"who had the most room ({chosen.value:.0%} in use)",
        "round_robin": f"whose turn it was (asked {span(chosen.value)} ago)",
        "score": f"whose score with it was best ({chosen.value:.3g})",
        "cost": f"who costs least ({chosen.value:.3g})",
        "preferred": "whom it prefers",
        "force": "by a supervisor's word",
    }.get(chosen.rank, "who was free")
    return f"{why} of {chosen.candidates} who were free" if chosen.candidates > 1 else why


def _why(told: Explanation) -> str:
    before = 0
    for number, each in enumerate(told.filters):
        if each.name == told.blocking:
            of = f"Of those who meet all before that ({before}) nobody" if number else "Nobody at all"
            return f"{of} {WORDS[each.name]}{_ramped(told) if each.name == 'presence' else ''}."
        before = each.kept
    return ""


def _ramped(told: Explanation) -> str:
    """Those who are available, and are not asked yet."""
    for change in told.unblock:
        if change.about == "ramp" and change.in_s is not None:
            first = ", the first" if change.candidates > 1 else ""
            return f" but {change.candidates} whom the ramp holds back{first} for another {span(change.in_s)}"
    return ""


def span(seconds: float) -> str:
    """A duration as people say it."""
    if seconds < 100:  # noqa: PLR2004 - beyond it minutes read better
        return f"{seconds:.0f} s"
    if seconds < 6_000:  # noqa: PLR2004 - and hours
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"
