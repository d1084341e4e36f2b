"""Simulated agents: they sign in, accept what they are offered, handle it and complete it, while a load comes in.

`spec.AgentsSpec` says how many and how they are; `crowd` signs them in one after the other; each is an `agent` on a
`stream` of its own; all write into one `book`, which becomes the run's `AgentsRecord`.
"""
