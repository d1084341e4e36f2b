"""The desk: the engine's async shell. Commands in, each logged before its answer; events out, once they are durable.

    submit(command) ──► engine.step ──► record.py ──► the journal ──► outbox.py ──► subscribers, the caller
                          ▲    │
       alarm.py (timers) ─┘    └─► matcher.py: pairing.py (arrays), outcome.py (a model), solve.py (pairs) ──► Propose
       lease.py (heartbeats)

`recovery.py` begins from a checkpoint and what came after; `probe.py` looks at the invariants of what was changed.
"""
