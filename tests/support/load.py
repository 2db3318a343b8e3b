"""How busy the machine is: promises of time are made for one that does nothing else."""

import os
from typing import Final

_MOST: Final = 4.0


def tolerance() -> float:
    """How many times longer something may take now; 1 where a core is free, 4 at most."""
    return min(_MOST, max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)))
