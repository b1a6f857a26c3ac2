"""A device server that never becomes ready, and heeds no SIGTERM."""

import signal

signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True:
    signal.pause()
