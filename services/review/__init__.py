"""Reviews in the running service: the log in SQL, desks in memory, and what follows them into files."""
