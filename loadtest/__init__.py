"""Open-loop load tests for servers with latency budgets. Knows the server over the network alone.

How to read this, from a file to a verdict:

    scenario/     the file: what is sent, when, what is broken meanwhile, what must hold
    arrival/      phases -> the time of every request, before anything is sent
    schedule      scenario + seed -> one row for each request (sample.PLANNED)
    conductor     the parent: starts workers, plays faults, shows the live view, collects
    interrupt     Ctrl-C: what was measured is kept, nothing is left behind
    worker        one generator process: pacer -> engine -> recorder
    stage, fault/ the server, if we start it, a proxy, and whoever breaks them at their times
    run           what lies on disk; everything below is made from it, again and again
    view          rows -> outcomes and latencies: the only place that says what a miss is
    history       rows -> a line of JSON for each request, for who checks them beside the server's records
    statistics/   what a number of requests can prove
    gate/         expressions -> pass, fail or inconclusive
    quality/      degraded answers, asked for again at zero load
    report/       HTML, Markdown, JSON, JUnit, HdrHistogram
    search, compare, calibrate; echo/ is the server with known delays
    command/      the command line

Invariant: latency = completion - intended time. Every scheduled request is in every denominator.
"""
