"""Prices from characteristic functions, and the calibration of the models that have one."""
