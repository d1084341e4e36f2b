"""What is known of the work on the floor: figures of queues and agents by exact definitions, and why a task waits.

`statistics.py` folds events (`tally.py`, `meter.py`) into figures (`figures.py`); `explain.py` looks at the engine's
state; both are pure. `insight.py` keeps the statistics of a running desk, the day before a restart included.
"""
