"""What everything stands on: memory, clock, time-outs and the delivery of webhooks."""
