"""HTTP: routes, negotiation, who may call in which way, and the headers around every answer. Knows no vendor."""
