"""Where latency budgets go, told from decision records: counts, a named bottleneck, and computed what-ifs. Pure.

How to read this package:

    finding.py     Audit, what an audit says, as JSON has it
    tally.py       Tally: takes one record after another, in memory that does not grow with them
    spread.py      quantiles of whatever many values, within 1 %
    window.py      how busy the executor and the event loop were, second by second
    run.py        what rungs cost: runs on the executor, each counted once however many requests shared it
    repeat.py      how many texts came again, from a sample of the texts
    cause.py       what one late or degraded request suffered from
    bottleneck.py  the one cause that most of them share, as a sentence
    whatif.py      what a larger budget, a cheaper rung, another core or a larger cache would have changed
    summary.py     audit_of: the tally as an Audit

    records ──► Tally ──► audit_of ──► Audit
"""

from __future__ import annotations

from router.audit.finding import Audit
from router.audit.summary import audit_of
from router.audit.tally import Tally

__all__ = ["Audit", "Tally", "audit_of"]
