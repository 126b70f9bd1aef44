"""HTTP: routes, negotiation, who may ask in which way, and what surrounds every answer. Knows no vendor."""
