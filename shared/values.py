"""``dataclass`` as in the standard library, for values that nobody changes: checked before the program runs, not while.

At run time a frozen dataclass sets each field by way of its own guard, four times as slow as a plain one, and a message
becomes some forty values on its way (docs/decisions/0008). mypy, which goes through every line before anything
runs, still refuses every assignment to a field of a class that says ``frozen=True``; they are hashed and
compared as frozen ones are.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass  # noqa: PLC0414 - passed on, so that mypy knows it for what it is
else:
    import dataclasses

    def dataclass(cls=None, /, *, frozen=False, **options):  # noqa: ANN001, ANN003, ANN201 - see above
        """Make ``cls`` a dataclass; with ``frozen``, one whose fields mypy keeps and whose values can be hashed."""
        made = dataclasses.dataclass(unsafe_hash=frozen, **options)
        return made if cls is None else made(cls)
