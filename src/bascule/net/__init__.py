"""Outbound connections: which addresses may be called, and what is fetched from them."""
