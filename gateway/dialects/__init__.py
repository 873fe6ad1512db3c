"""How providers' APIs differ from the one that the rest of the gateway speaks; one module a dialect."""
