"""Simulated exchange and synthetic market: the venue and the feed that need nobody outside."""
