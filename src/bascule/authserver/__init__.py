"""The authorization server: OAuth 2.1 for clients that ask users, and for agents alone."""
