"""Evidence: how far the judge can be trusted, measured; and the results that are checked in."""
