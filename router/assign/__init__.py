"""Agent assignment: who takes a task, exactly once. All of it is pure; the async shell is `router/desk/`.

    command.py ──► engine.py: step(command, now_ns) ──► event.py
                      │ handlers: life (begin, end), moving, pausing, mood (signals), offering, presence, timer, system
                      ▼
    state.py: entity.py (tasks, offers, resources) + index.py, group.py (of one requirement) + deadline.py (timers)
              line.py (waiting, overflow) · steps.py (relaxation) · match.py, rank.py, gather.py (who takes what)
              hold.py (offered, assigned, let go) · transition.py (what may follow what) · score.py (linear models)
              policy.py, hours.py, check.py (queues.toml) · wait.py (for how long) · invariant.py (what always holds)

What is told of it, figures and explanations, is in `router/insight/`.
"""
