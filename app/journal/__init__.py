"""The journal: every update's fate, durable, and each under one key once. Knows the store, and no vendor."""
