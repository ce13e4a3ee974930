"""Who calls: access tokens (RFC 9068) and signing keys; pure, given keys and the time."""
