"""The bucket of a deployment: made where it is not there yet. ``python -m services.photos.bucket``; it ends when all is well."""

import sys
import time
from collections.abc import Callable

from services.errors import ColegaError, PhotoStoreUnavailable
from services.photos.store import PhotoStore
from services.settings.service import Environment, PhotoStoreSettings

_WITHIN_S = 120.0
_POLL_S = 0.5


def make(store: PhotoStore, within_s: float = _WITHIN_S, wait: Callable[[float], None] = time.sleep) -> None:
    """Wait for the server, see that the bucket is there, and that what is put into it is read back.

    Raises:
        PhotoStoreUnavailable: It does not work within *within_s* seconds.
    """
    give_up_at = time.monotonic() + within_s
    while True:
        try:
            store.make_bucket()
            store.check()
        except PhotoStoreUnavailable:
            if time.monotonic() > give_up_at:
                raise
            wait(_POLL_S)
        else:
            return


def main() -> None:
    """The command of the one-off process."""
    try:
        settings = Environment.of_process().load(PhotoStoreSettings)
        make(PhotoStore.of(settings))
        sys.stdout.write(f"bucket {settings.photos_bucket}\n")
    except ColegaError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
