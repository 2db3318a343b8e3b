"""The deployments and the ways in: models on Ray Serve, the command line."""
