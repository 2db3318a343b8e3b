"""Screenalyzer's domain: from decoded frames to per-person screen time.

Everything here is pure: no Ray, no web framework, no queue. `pipelines` wires it to a cluster.
"""

__version__ = "0.1.0"
