"""SCIM 2.0: users and groups as a provider provisions them (RFC 7643, RFC 7644)."""
