"""Fixtures of this folder."""

from tests.archive.conftest import settings

__all__ = ["settings"]
