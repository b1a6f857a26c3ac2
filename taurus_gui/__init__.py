"""Operator windows: Taurus shows, and every change is a command text that goes to the console."""

import logging

# Taurus tells its start-up (binding, missing schemes) on the terminal of whoever imports it.
logging.getLogger("TaurusRootLogger").addFilter(lambda record: record.levelno >= logging.ERROR)
