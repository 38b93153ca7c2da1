"""What does the shards of a run beyond this machine: Dask workers, each with a pool of processes of its own."""
