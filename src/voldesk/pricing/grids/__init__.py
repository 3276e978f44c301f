"""Finite differences: grids, steps in time, and the equations of Heston and of jumps."""
