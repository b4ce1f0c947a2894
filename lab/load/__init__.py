"""Load from a process of its own: schedules, pacing, the generator, and what it recorded."""
