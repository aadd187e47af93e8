"""What every admin screen shares: actions that ask for confirmation, and rows that nobody edits."""
