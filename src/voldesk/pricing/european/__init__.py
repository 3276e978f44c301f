"""Kernels of European prices, Greeks, implied volatility and revaluation."""
