"""Benchmarks: every figure is a ratio to a baseline that is measured in the same run, on the same data.

`python -m benchmarks` runs them all and writes benchmarks/results.json; `python -m benchmarks NAME` runs one.
"""
