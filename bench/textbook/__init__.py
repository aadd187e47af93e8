"""The textbook twin: the opponent of the benchmark. See README.md beside this file; never deploy it."""
