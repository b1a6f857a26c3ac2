"""The contract every device server should keep, checked from outside on a running one, of ours or anybody's.

*Check*: one promise and a look whether it is kept, with a *finding*. Without leave a check only reads. What writes set
points or calls Stop wants `move`; what calls Init or restarts the server wants `restart`. A check puts back what it
changed.
"""

from mamba.administration.contract.examination import Leave, examine
from mamba.administration.contract.finding import Finding, Result

__all__ = ["Finding", "Leave", "Result", "examine"]
