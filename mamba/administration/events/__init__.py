"""The event doctor: for each attribute where its change events come from, whether any come, and the repair.

*Pushed*: the server's code sends events. *Polled*: Tango reads the attribute regularly and sends an event when it
differs by its thresholds, which a number must have and a text, an enum, a boolean or a state needs not.
"""

from mamba.administration.events.diagnosis import AttributeEvents, Diagnosis, Source, diagnose
from mamba.administration.events.repair import set_abs_change, set_polling

__all__ = ["AttributeEvents", "Diagnosis", "Source", "diagnose", "set_abs_change", "set_polling"]
