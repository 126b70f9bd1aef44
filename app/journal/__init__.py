"""The journal: records every update's fate durably, and each key once. Knows the store, and no vendor."""
