"""MCP on the wire: JSON-RPC messages and the headers that mirror them; knows no policy."""
