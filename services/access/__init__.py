"""Who may do what: keys, passwords, sessions, signed URLs."""
