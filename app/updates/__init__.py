"""One update, with no vendor in it."""
