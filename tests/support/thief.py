"""A port that another program takes between our look at it and our use of it."""

from deploy.local import ports


class LooksFreeOnce:
    """Stands in for `deploy.local.ports.is_free`: says of one port, at every other look, that it is free."""

    def __init__(self, stolen: int) -> None:
        """Take the port that is not free at all."""
        self._stolen = stolen
        self._look = ports.is_free
        self._lie = False

    def __call__(self, port: int) -> bool:
        """Look at ``port``."""
        if port != self._stolen:
            return self._look(port)
        self._lie = not self._lie
        return self._lie or self._look(port)
