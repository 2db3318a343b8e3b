"""The HTTP API: thin routes over the domain, the jobs and the database."""
