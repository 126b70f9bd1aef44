"""What operators see: one log line for each operation, metrics, traces, and undocumented answers.

It never fails an operation, and knows no vendor.
"""
