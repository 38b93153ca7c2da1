"""One loop for every model: batches from shards, checkpoints without pickle, a log, and any number of ranks."""
