"""Figures of the product, each measured side by side with what it is compared to, in one run.

Run one with ``.venv/bin/python -m benchmarks.<name>``. Nothing here runs in the tests: times belong to a quiet machine.
"""
