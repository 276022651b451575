"""Numbers in sentences for people."""


def counted(number: int, noun: str) -> str:
    """Return how many there are: ``1 image``, ``2 images``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def are(number: int) -> str:
    """Return the verb for so many: ``is`` or ``are``."""
    return "is" if number == 1 else "are"
