"""Degrading: what to answer when the best answer can't be had in time.

How to read this package: `ladder` says which rung comes next and why the better ones were skipped; `breaker` keeps a
rung that fails or drags out of the way and finds it again; `rules` and `cache` are rungs that need no model;
`singleflight` lets equal questions share one run; `runner` is the only asynchronous file: it runs a call on an
executor and gives each waiter its answer by its own commit time. All of it is generic: it knows names, costs and
answers of a type `T`, and has never heard of an interaction.
"""
