"""Maps GraphQL types to a vendor's JSON and back; owns selections, scalars and all generated code. Knows no vendor."""
