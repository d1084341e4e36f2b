"""Adapters: systems that ask Takt for an agent in their own words.

How to read this package:

    settings.py    [adapters.NAME] of takt.toml
    desk.py        what an adapter needs of the engine, and how a few commands are given as one
    rocketchat.py  pure: Rocket.Chat's Omnichannel events into commands
    selection.py   the one question that Rocket.Chat's external routing asks: who is next?
    chatwoot.py    pure: Chatwoot's webhooks into commands, assignments into calls of its API
    hub.py         the adapters that are configured; the thin shell around the pure parts
"""
