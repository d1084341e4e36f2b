"""Decision points: what can be decided, by which guards and rules, with which ladder.

How to read this package: `project` reads the files a user writes (routes.toml, rules.toml), `expression` is the door
to CEL, `point` puts them together with the models into a decision point that the pipeline runs.
"""
