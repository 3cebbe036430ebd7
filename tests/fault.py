"""What may go wrong between a machine and a bucket."""

import dataclasses
import re
import time


@dataclasses.dataclass(kw_only=True, eq=False)
class Fault:
    """What happens to requests while it is among the faults of a proxy.

    Attributes:
      on: regular expression, searched for in "METHOD host/path?query"; by default every request.
      status: HTTP status that is answered; nothing is forwarded.
      cut_at: the connection is cut after this many bytes of the request's body, or at its end.
      lose_answer: the server does what it is asked, but the connection is cut before its answer.
      bytes_per_second: speed of bodies, in both directions.
      times: how many requests are hit; None: all.
      seconds: for how long, from now on; None: until it is taken away.
    """

    on: str = ""
    status: int | None = None
    cut_at: int | None = None
    lose_answer: bool = False
    bytes_per_second: float | None = None
    times: int | None = None
    seconds: dataclasses.InitVar[float | None] = None

    def __post_init__(self, seconds: float | None) -> None:
        self._end = float("inf") if seconds is None else time.monotonic() + seconds

    def hits(self, request: str) -> bool:
        """Whether it applies to a request; counts those that are hit."""
        if self.times == 0 or time.monotonic() > self._end or not re.search(self.on, request):
            return False
        if self.times is not None:
            self.times -= 1
        return True
