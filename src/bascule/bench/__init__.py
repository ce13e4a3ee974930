"""`bascule bench`: what a call costs here, beside nginx and Envoy in the same run."""
