"""The life of a job: its states in SQL, its queues and its live progress in Redis."""
