"""The metrics of agent assignment, by queue. The names of queues come from the configuration, so they are bounded."""

from __future__ import annotations

from router.telemetry.family import Label, ReadingFamily

MOST_QUEUES = 500
"""With series of their own."""
TASK_OUTCOMES = ("queued", "answered", "abandoned", "short_abandoned", "left", "completed", "canceled")
OFFER_OUTCOMES = ("issued", "accepted", "declined", "expired", "rescinded")


class AssignmentMetrics:
    """Read from the statistics at scrape time."""

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
