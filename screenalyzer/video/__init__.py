"""Video in: probe, plan, read in chunks, find the shots."""
