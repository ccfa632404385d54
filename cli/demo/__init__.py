"""The demo: one upgrade, told by running the public commands on real data."""
