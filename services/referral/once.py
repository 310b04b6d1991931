"""What whoever runs the node is told once, while the process runs, however often it is met."""

from uuid import UUID


class Once:
    """The ids that were told of."""

    def __init__(self) -> None:
        """Begin with none."""
        self._told: set[UUID] = set()

    def first(self, id_: UUID) -> bool:
        """Tell whether ``id_`` is met for the first time."""
        if id_ in self._told:
            return False
        self._told.add(id_)
        return True
