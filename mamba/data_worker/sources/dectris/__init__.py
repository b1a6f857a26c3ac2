"""Source: a DECTRIS detector's stream, versions 1 and 2 of the SIMPLON API."""
