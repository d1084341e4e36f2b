"""The commands of `takt`, one file each: `run(args)` does it and returns the exit code.

How to read this package: `router.cli` parses the command line and imports the command it names, so that `takt --help`
loads none of them. `terminal` is all output for people, `location` finds the project, `errors` says which error ends
with which exit code.
"""
