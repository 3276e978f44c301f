"""The order of time: rows, reports, results, timers and people enter one at a time; decisions leave."""
