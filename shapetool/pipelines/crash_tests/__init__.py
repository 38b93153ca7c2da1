"""What `shapetool selftest --dir` tries on a file system, one file for each kind of trouble."""
