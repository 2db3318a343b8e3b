"""The service on one machine: started in order, watched, stopped."""
