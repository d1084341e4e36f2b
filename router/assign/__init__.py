"""Agent assignment: who takes a task, exactly once.

    command.py ──► engine.py: step(command, now_ns) ──► event.py
                      │ handlers: life (begin, end), moving, pausing, mood (signals), offering, presence, timer, system
                      ▼
    state.py: entity.py (tasks, offers, resources) + index.py (groups of one requirement) + deadline.py (timers)
              line.py (waiting, overflow) · steps.py (relaxation) · match.py, gather.py (who takes what)
              hold.py (offered, assigned, let go) · transition.py (what may follow what)
              policy.py, check.py (queues.toml) · invariant.py (what always holds)

    explain.py (why it waits) · wait.py (for how long) · statistics.py (from events)

    desk.py, the async shell: reads the clock, logs each command, tells events once they are durable
              record.py, recovery.py (what the journal keeps) · outbox.py (events) · lease.py, alarm.py (who is silent)
              matcher.py: a gathered queue ──► pairing.py (arrays), score.py or outcome.py (ONNX), solve.py ──► Propose

Pure but for `desk`, `recovery`, `outbox`, `alarm`, `matcher` and `outcome`.
"""
