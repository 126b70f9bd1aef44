"""The schema of the registered APIs, its execution, its limits, and the shape of its errors. Knows no HTTP."""
