"""How fast it is, and what it costs: against other tools, and against what the servers themselves allow."""
