"""Monte Carlo: draws, paths of each model, payoffs, early exercise."""
