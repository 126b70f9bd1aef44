"""Who may call: static bearer tokens, signed tokens (JWT) of one issuer, and the keys to check these with."""
