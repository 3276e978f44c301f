"""voldesk: an options volatility desk. `import voldesk as vd` gives the maths as array functions."""

__version__ = "0.1.0"
