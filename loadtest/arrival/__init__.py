"""When requests are sent: decided before the run, whole, and from its seed alone.

One mechanism makes all of it. A *process* says how regular arrivals are, in a time in which they come once a unit; a
*shape* says how many have come by when. The shape's inverse takes the process's times to the clock's:

    process  (constant, poisson, gamma)      0.3  1.9  2.2  …          unit times, mean gap 1
    shape    (flat, steps, ramp, day, mmpp)  t = inverse(unit time)    the cumulative rate, turned round
    times    integer ns from the start of the phase

Source: time rescaling, Brown et al. 2002, "The Time-Rescaling Theorem". A trace has its times already.
"""
