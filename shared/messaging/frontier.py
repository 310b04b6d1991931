"""Which delivery tags of a channel may be acknowledged together.

``basic.ack(multiple)`` settles every tag up to the one it names (AMQP 0-9-1, 1.8.3.13), also those that are still
being worked on. The frontier only ever names the end of an unbroken run of finished tags, so that one frame settles a
batch and never a message too many.
"""


class Frontier:
    """The finished tags of one channel, whose first delivery has tag 1."""

    __slots__ = ("_acknowledged", "_finished")

    def __init__(self) -> None:
        self._acknowledged = 0
        self._finished: set[int] = set()

    def finish(self, *tags: int) -> int | None:
        """Mark ``tags`` as finished; return the tag to acknowledge up to, or ``None`` when nothing new may be."""
        self._finished.update(tags)
        reached = self._acknowledged
        while reached + 1 in self._finished:
            reached += 1
            self._finished.remove(reached)
        if reached == self._acknowledged:
            return None
        self._acknowledged = reached
        return reached
