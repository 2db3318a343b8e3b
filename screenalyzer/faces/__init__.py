"""The face front end: find faces, line them up, describe them as vectors, judge how well they are seen."""
