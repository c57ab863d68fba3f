"""Array types that flow through the rules in place of `numpy.ndarray`."""
