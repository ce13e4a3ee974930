"""What identity providers tell Bascule: provisioning, security events, revocations."""
