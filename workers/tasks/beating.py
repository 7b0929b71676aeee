"""Beat by the steady clock: what is due every few seconds is sent every few seconds, whatever the time of day does.

Celery's own scheduler goes by the wall clock. Set back by two hours, it sends nothing for two hours.
"""

import time

from celery.beat import Scheduler


class Steady(Scheduler):  # type: ignore[misc] # Celery's have no types.
    """A scheduler of intervals. Everything is first due one interval after its start, and nothing is kept between starts."""

    def setup_schedule(self) -> None:
        """Celery calls this once."""
        self._due: dict[str, float] = {}
        super().setup_schedule()

    def tick(self) -> float:
        """Send what is due. Returns the seconds until something is due again."""
        entries = self.schedule
        for name, entry in entries.items():
            every_s = entry.schedule.run_every.total_seconds()
            due = self._due.setdefault(name, time.monotonic() + every_s)
            if time.monotonic() >= due:
                self._due[name] = time.monotonic() + every_s
                self.apply_entry(entry, producer=self.producer)
        soonest = min((self._due[name] for name in entries), default=time.monotonic() + self.max_interval)
        return max(soonest - time.monotonic(), 0.0)
