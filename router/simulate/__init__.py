"""What would happen: the assignment engine that serves customers, played through a day under virtual time.

How to read this: `world` is the file that a person writes, `draw` makes of it the `Day` (day.py) that is played, and
`replay` makes one of a log. `play` runs the engine through it, `measure` tells what came of it, `compare` sets
policies side by side on the same days, `advise` sets lessons for agents beside each other. `plot` and `page` draw the
report, `words` writes its figures. Nothing here knows a clock, and all chance is drawn from a seed: the same seed gives
the same figures.
"""
