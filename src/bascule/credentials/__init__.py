"""What Bascule shows to servers: the vault of secrets and the brokers of credentials."""
