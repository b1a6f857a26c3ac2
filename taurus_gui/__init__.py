"""Operator windows: Taurus shows, and every change is a command text that goes to the console."""
