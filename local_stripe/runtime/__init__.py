"""The base of the package: memory, clock, delayed steps and the delivery of webhooks."""
