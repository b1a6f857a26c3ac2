"""Mamba: experiment control for beamlines. See docs/ for the rooms of this house and the two journeys through it."""

__version__ = "0.1.0"
