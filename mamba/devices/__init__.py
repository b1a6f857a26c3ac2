"""The ophyd side: M and D, naming, one Tango link, signals, motors, detectors."""
