"""The protocol's tests against any running session: `python -m mamba.wire.conformance --runtime DIR`.

Nothing moves and nothing is restarted; the commands that are sent are the likes of `1 + 1`, and stand in the console
with the origin "conformance". What the session's roles forbid, or what would disturb who works there, is skipped, and
said so. Stands on ZeroMQ, JSON and `mamba.wire` only.
"""
