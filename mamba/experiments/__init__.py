"""Experiment parameters: what a technique needs, computed from a few inputs, as pure functions."""
