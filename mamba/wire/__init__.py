"""Bytes to messages and back: request, reply, notice. Knows nothing of IPython, bluesky or Qt."""
