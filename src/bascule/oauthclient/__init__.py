"""Bascule as an OAuth client on the wire: discovery, authorization, tokens."""
