"""Measurements of speed: see README.md beside this file. Development only."""
