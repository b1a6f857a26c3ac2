"""Bring up, watch and take down: Tango database, device servers, console."""
