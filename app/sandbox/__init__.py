"""The HTTP stand-in over a local backend: routes, bodies, faults. Knows no vendor."""
