"""The attributes of spans: one module for each convention, of pure functions."""
