"""What is broken on purpose while a run goes on.

timeline   the scenario's faults -> what must be in force from when on (pure)
drill      plays a timeline with actors, and writes down what really happened
actor      who breaks things: the server itself, a signal, a proxy
proxy      the TCP proxy, a process of its own; `link` is its core (pure)
subject    the server under test, where the scenario says how to start it
exchange   one HTTP request on a connection of its own
"""
