"""Volatility surfaces: slices, whole-surface fits, forwards and the measures read off them."""
