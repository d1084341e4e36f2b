"""Does what happened hold what Takt promises? A load test's history beside the server's records, rule by rule. Pure.

How to read this package:

    entry.py      Entry, what is read of a decision record
    exchange.py   join: each request as its client saw it and as the server recorded it
    rule.py       what a rule is, what it finds
    response.py   one response and one record a request; late answers say so; budgets are bounded
    start.py      nothing starts too late, nothing expired starts, batches fit their members
    order.py      who went first: no priority inversion, nobody sacrificed for the less critical
    verdict.py    verdicts are obeyed, unless the control is dark
    count.py      the server's own counts beside the clients'
    check.py      all rules over one history

    run's arrays ──► History ──┐
                               ├──► join ──► each rule's see() ──► findings
    decision log ──► Entry ────┘                  ▲
    /metrics before and after ────────────────────┘

Rules see one request at a time; what they keep of it is small.
"""

from __future__ import annotations

from router.history.check import Report, check
from router.history.entry import Entry
from router.history.rule import Finding, Violation

__all__ = ["Entry", "Finding", "Report", "Violation", "check"]
