"""Every shipped profile against the scheduler that it is for."""
