"""Bascule: identity, least privilege, supply chain, exposure and audit for MCP servers."""
