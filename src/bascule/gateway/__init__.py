"""The enforcement point: the HTTP data path from client to upstream and back."""
