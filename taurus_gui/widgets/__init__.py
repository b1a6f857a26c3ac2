"""Panels of the operator window, one file each."""
