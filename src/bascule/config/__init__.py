"""The configuration file as one typed model, its loader and its JSON Schema; pure."""
