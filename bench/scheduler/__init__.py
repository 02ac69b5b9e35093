"""What the scheduler costs, measured in one process and on one core: `python -m bench.scheduler CASE SIZE`."""
