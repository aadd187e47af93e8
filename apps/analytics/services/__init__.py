"""What analytics writes: the roll-up of the books."""
