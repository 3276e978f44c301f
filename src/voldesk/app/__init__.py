"""Wiring, command line, run folders and reports: the only ring that knows how the parts are put together."""
