"""Schema, queries and transactions of the state; the only package that knows SQL."""
