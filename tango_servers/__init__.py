"""Tango device servers, one folder each (model, data stream, Tango face), and the virtual beamline."""
