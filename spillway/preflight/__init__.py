"""A campaign, simulated before it starts: its needs, the limits, the fixes and the bill."""
