"""The database: what is true of users, shows, episodes, jobs and edits.

Whoever imports one table knows all of them.
"""

from services.db import figures as figures
