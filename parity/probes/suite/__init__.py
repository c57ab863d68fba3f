"""The probes themselves, in modules by what they show."""
