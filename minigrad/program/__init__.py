"""A recorded step: what it consists of, how it is made fast, how it is run, what it costs."""
