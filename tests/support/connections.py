"""Which connections to a broker somebody has forgotten to close.

A robust connection comes back for ever, and while it tries it swallows the cancellation that ends a loop: one that is
left can make the end of a session hang, and nothing says why.
"""

import asyncio

FOREVER = "RobustConnection.__connection_factory"


def left_open() -> list[str]:
    """Return the path and the user of each robust connection that this loop still keeps up."""
    coroutines = (task.get_coro() for task in asyncio.all_tasks())
    frames = (each.cr_frame for each in coroutines if each is not None and each.__qualname__ == FOREVER)  # type: ignore[union-attr]
    urls = [frame.f_locals["self"].url for frame in frames if frame is not None]
    return sorted(f"{url.user} at {url.path}" for url in urls)
