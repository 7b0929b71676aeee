"""What an S3 is asked to encrypt objects with by itself, on top of what is sealed here."""

from minio.sse import Sse, SseKMS, SseS3


def wanted(setting: str) -> Sse | None:
    """The headers of the setting: ``none``, ``s3``, or ``kms:`` and the id of the store's key."""
    kind, _, key_id = setting.partition(":")
    return None if kind == "none" else SseKMS(key_id, {}) if kind == "kms" else SseS3()
