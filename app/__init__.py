"""A GraphQL gateway in front of REST update APIs."""
