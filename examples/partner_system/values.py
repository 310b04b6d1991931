"""JSON as it comes from others: each value is asked for by its type, and anything else is a TypeError."""

Json = dict[str, object]


def text(value: object) -> str:
    """Return a string."""
    if not isinstance(value, str):
        raise TypeError
    return value


def number(value: object) -> int:
    """Return a whole number; ``true`` is none."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    return value


def items(value: object) -> list[object]:
    """Return an array."""
    if not isinstance(value, list):
        raise TypeError
    return value


def members(value: object) -> Json:
    """Return an object."""
    if not isinstance(value, dict):
        raise TypeError
    return value
