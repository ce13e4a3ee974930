"""A server to try Bascule with; no part of the gateway."""
