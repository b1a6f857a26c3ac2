"""Where text becomes an executed cell, inside IPython: agent, injector, results, run control, device services."""
