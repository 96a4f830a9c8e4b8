"""What `reports/bench/run` is made of: processes measured, recorders put into them, programs, targets, a table."""
