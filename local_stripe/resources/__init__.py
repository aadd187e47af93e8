"""Stripe's objects and their endpoints."""
