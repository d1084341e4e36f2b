"""Webhooks: the engine's durable events, told to others at least once and in order for each subject.

How to read this package:

    settings.py    [webhooks.NAME] of takt.toml; url.py: where requests may go
    signature.py   pure: Standard Webhooks
    message.py     pure: an event as a signed CloudEvent; Destination, the port that adapters implement as well
    delivery.py    one event on its way, and how an attempt ended
    schedule.py    pure: what is sent when; the rows that survive a restart
    store.py       EventLog, the port to the log; journal.py: by the command journal
    client.py      the door to aiohttp's client
    dispatcher.py  one receiver: the thin loop around its schedule
    hub.py         all receivers

    log ──page──► Schedule (a line for each subject) ──due──► POST ──settle──► delivered | later | given up
     ▲                │
     └──rows──────────┘  cursor and what is pending, in one transaction, twice a second at most
"""
