"""The configuration: one TOML file as frozen values.

* ``values``    the types of single values: units, AE titles, paths
* ``sections``  every section and key with its default, and the rules between them
* ``file``      reading the file, and saying what is wrong with it

Every key may be left out; what is written is taken strictly: an unknown key is answered with the nearest
known one, a bad value with what was found and what was needed. Built in Python, the same models take plain
numbers: ``Limits(idle_deadline=0.5)``.
"""

from scp.config.file import load
from scp.config.sections import (
    TLS,
    Archive,
    Completion,
    Config,
    Limits,
    Node,
    Peer,
    Preset,
    Query,
    Reconstruction,
    Results,
    Selection,
)

__all__ = [
    "TLS",
    "Archive",
    "Completion",
    "Config",
    "Limits",
    "Node",
    "Peer",
    "Preset",
    "Query",
    "Reconstruction",
    "Results",
    "Selection",
    "load",
]
