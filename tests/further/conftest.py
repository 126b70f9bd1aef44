"""A fourth API as a newcomer adds it. Copied into a checkout by tests/test_contributing.py; here nothing runs it."""

collect_ignore_glob = ["*"]
