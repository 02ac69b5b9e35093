"""Python's garbage collector, told what a scheduler is like: most of what it has lasts, and next to nothing of it goes
round in circles, so that counting references is enough nearly always.

Collections are for what is left, errors and tasks of asyncio. What was loaded is never looked at again, and a
collection comes every 10,000 new containers, not 700: of a placement among 10,000 hosts a tenth was spent there.
"""

from __future__ import annotations

import gc

#: New containers until the next look at the new ones.
EVERY = 10_000


def spare_what_lasts() -> None:
    """All that is there now. Once, after loading."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(EVERY, 10, 10)
