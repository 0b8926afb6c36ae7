"""The gateway's processes: a parent that owns socket, configuration and control, and workers that serve."""
