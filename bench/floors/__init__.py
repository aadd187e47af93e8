"""The least that each layer costs, which no product on the same layers can go below. See README.md beside this file."""
