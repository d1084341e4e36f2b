"""Time and capacity: what a request may still spend, and where it went.

How to read this package: `clock` is the only place that reads a clock; everything else is pure and takes
`now_ns: int` (monotonic nanoseconds). `deadline` turns the budgets a client states into one absolute deadline,
`ledger` books every nanosecond since the start to a stage, `predictor` learns quantiles of a cost online,
`histogram` counts values in fixed buckets, `admission` holds the hard bounds that decide whether a request gets in.

Adaptive limits, slack admission by class and shedding will stand beside `admission`, behind the same two endings:
a request is admitted and later released, or it is refused with a reason.
"""
