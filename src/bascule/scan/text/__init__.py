"""What definitions say: read by meaning, offline, the same at every run.

`judge` gives a verdict on one definition, with the passages that speak for it.
"""
