"""American options: the exercise boundary, its value, and the lattice's kernels."""
