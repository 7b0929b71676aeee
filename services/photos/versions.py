"""Versions: where a bucket keeps them, deleting an object keeps its bytes, and they have to be deleted by themselves."""

from collections.abc import Iterable

from services.photos.store import PhotoStore

_KEPT = {"Enabled", "Suspended"}


def are_kept(store: PhotoStore) -> bool:
    """Whether the bucket keeps versions of what is deleted or replaced, or has kept some.

    Raises:
        PhotoStoreUnavailable: The store does not answer, or we may not ask it that.
    """
    with store._speaking("the bucket's versions"):  # noqa: SLF001 - A part of the store that hardly anybody needs.
        return store._client.get_bucket_versioning(store.bucket).status in _KEPT  # noqa: SLF001


def delete_old(store: PhotoStore, prefixes: Iterable[str]) -> int:
    """Delete every version that is not an object any more, of names that begin with one of these. Returns how many.

    Raises:
        PhotoStoreUnavailable: The store does not answer, or does not let them go: they may be locked.
    """
    deleted = 0
    for prefix in prefixes:
        client = store._client  # noqa: SLF001
        with store._speaking(prefix):  # noqa: SLF001
            found = list(client.list_objects(store.bucket, prefix, recursive=True, include_version=True))
            for version in found:
                if version.object_name is not None and (version.is_delete_marker or version.is_latest != "true"):
                    client.remove_object(store.bucket, version.object_name, version_id=version.version_id)
                    deleted += 1
    return deleted
