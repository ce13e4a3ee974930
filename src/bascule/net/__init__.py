"""Outbound connections: which addresses may be called, and how a name becomes one."""
