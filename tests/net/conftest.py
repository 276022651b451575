"""Fixtures of this folder."""

from tests.net.nodes import dcmtk, start_node

__all__ = ["dcmtk", "start_node"]
