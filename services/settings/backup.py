"""Where backups go."""

from pydantic import Field, NonNegativeInt, SecretStr

from services.settings.group import Group


class BackupSettings(Group):
    """Where backups are written by a worker, and how a bucket for them is reached (docs/backup.md)."""

    backup_folder: str = Field(
        default="",
        description="Where `colega backup` without a destination and POST /v1/backups write: a folder of the training worker's "
        "machine, or s3://BUCKET/PREFIX. Empty: only `colega backup DEST` writes any.",
    )
    backup_keep: NonNegativeInt = Field(
        default=30, description="How many backups are kept in one place; older ones are removed by the next. 0: all."
    )
    backup_endpoint: str = Field(
        default="", description="URL of the S3 server of s3:// destinations; none of the photo store's."
    )
    backup_region: str = Field(default="us-east-1", description="Region of their bucket.")
    backup_access_key: SecretStr = Field(default=SecretStr(""), description="Access key of their server.")
    backup_secret_key: SecretStr = Field(default=SecretStr(""), description="Secret key of their server.")
