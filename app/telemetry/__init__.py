"""What operators see: one log line for each operation, metrics, traces, and answers that nobody documented.

Never fails an operation, and knows no vendor.
"""
