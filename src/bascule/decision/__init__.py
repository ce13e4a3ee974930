"""Facts in, decision out: the one place that says yes; the Cedar adapter is one file."""
