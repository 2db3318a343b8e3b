"""Files on their way in: the tus protocol over files and rows."""
