"""The calibration server: it answers with what it was asked, after a time that is known exactly, and keeps its own
books of both. What the load tester says is held against them (`calibrate`).

    settings   what it is told
    agenda     calls at exact times: event loops round theirs to a millisecond
    truth      when each request came and was answered, by the server's own clock
    server     HTTP
    process    starts one beside us
"""
