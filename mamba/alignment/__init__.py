"""Preparation steps: beam, sample and optics, found from data."""
