"""The exposure scanner: what MCP servers there are, who can reach them, what they serve.

It needs no configuration and no data directory, executes nothing that it examines, and
sends requests to nothing but the targets that are in its scope.
"""
