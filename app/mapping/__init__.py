"""GraphQL types <-> a vendor's JSON, selections, scalars, and all generated code. Knows no vendor."""
