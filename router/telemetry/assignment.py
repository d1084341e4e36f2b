"""The metrics of agent assignment. The names of queues come from the configuration, so they are bounded."""

from __future__ import annotations

from router.telemetry.family import Label, ReadingFamily

MOST_QUEUES = 500
"""With series of their own."""
TASK_OUTCOMES = ("queued", "answered", "abandoned", "short_abandoned", "left", "completed", "canceled")
OFFER_OUTCOMES = ("issued", "accepted", "declined", "expired", "rescinded")


class DeskMetrics:
    """Of the engine's shell; only where there are queues."""

    def __init__(self) -> None:
        self.written = ReadingFamily(
            "counter", "takt_commands_written_total", "Commands on tasks and agents, and checkpoints, that are durable."
        )
        self.ended = ReadingFamily(
            "gauge",
            "takt_commands_ended",
            "1 when no command is taken any more: the engine has failed, or another process has taken over.",
        )
        self.matchings_missed = ReadingFamily(
            "counter",
            "takt_matchings_missed_total",
            "Matchings that were not solved, so that tasks were offered without.",
            Label("why", ("late", "failed")),
        )
        self.violations = ReadingFamily(
            "counter", "takt_invariant_violations_total", "What must never be, and a look at some of the steps found."
        )

    def families(self) -> list[ReadingFamily]:
        return [family for family in vars(self).values() if isinstance(family, ReadingFamily)]


class AssignmentMetrics:
    """By queue. Read from the statistics at scrape time."""

    def __init__(self) -> None:
        queue = Label("queue")
        self.waiting = ReadingFamily("gauge", "takt_queue_waiting", "Tasks that wait in a queue.", queue)
        self.longest_wait = ReadingFamily(
            "gauge", "takt_queue_longest_wait_seconds", "How long the first of them has waited in it.", queue
        )
        self.agents = ReadingFamily(
            "gauge",
            "takt_queue_agents",
            "Resources of a queue that are signed in, and of those the available ones.",
            queue,
            Label("presence", ("signed_in", "available")),
            max_children=2 * MOST_QUEUES,
        )
        self.tasks = ReadingFamily(
            "counter",
            "takt_tasks_total",
            "Tasks that came into a queue, how their wait ended, and how they did.",
            queue,
            Label("outcome", TASK_OUTCOMES),
            max_children=len(TASK_OUTCOMES) * MOST_QUEUES,
        )
        self.offers = ReadingFamily(
            "counter",
            "takt_offers_total",
            "Offers of a queue's tasks, and how they ended.",
            queue,
            Label("outcome", OFFER_OUTCOMES),
            max_children=len(OFFER_OUTCOMES) * MOST_QUEUES,
        )

    def families(self) -> list[ReadingFamily]:
        return [family for family in vars(self).values() if isinstance(family, ReadingFamily)]
