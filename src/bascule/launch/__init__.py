"""MCP servers over stdio: their processes, what they inherit, and JSON-RPC with them."""
