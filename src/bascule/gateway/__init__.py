"""The enforcement point: the HTTP data path from a client's bytes to the upstream and back."""
