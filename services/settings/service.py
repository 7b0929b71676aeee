"""Settings: values, built once at the door of each process and handed on. One class a concern.

They come from ``COLEGA_*`` in the environment, or from the file that ``COLEGA_ENV_FILE`` names (the environment wins).
A secret may also come from a file: ``COLEGA_PHOTOS_SECRET_KEY_FILE=/run/secrets/s3``. An unknown ``COLEGA_`` name is
refused with the nearest valid one, so that a misspelt limit is never silently the default.
"""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self, TypeVar

from dotenv import dotenv_values
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, SecretStr, ValidationError

from services.errors import InvalidSettings
from services.settings.audit import Auditing
from services.settings.backup import BackupSettings
from services.settings.door import DoorSettings
from services.settings.erasing import Erasing
from services.settings.group import Group
from services.settings.privacy import Privacy
from services.settings.sealing import SealingSettings

PREFIX = "COLEGA_"
ENV_FILE = "COLEGA_ENV_FILE"


class Home(Group):
    """Where this machine keeps its own files, and how it speaks of what it does."""

    data: Path = Field(default=Path("data"), description="Folder of this machine's own files: catalog, store, models.")
    log_format: Literal["text", "json"] = Field(default="text", description="How log lines are written.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least that is logged."
    )


class Tracing(Group):
    """Traces of requests through all processes (OpenTelemetry); off unless an endpoint is named (docs/observability.md)."""

    traces_endpoint: str = Field(
        default="",
        description="Where spans are sent, OTLP over HTTP, such as http://collector:4318/v1/traces; empty: nowhere.",
    )
    traces_sample: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Share of requests that are traced, where the caller has not decided already.",
    )


class CatalogSettings(Group):
    """Where the truth is."""

    catalog_url: SecretStr = Field(
        default=SecretStr("sqlite:///data/catalog/catalog.sqlite"),
        description="SQLAlchemy URL of the catalog: SQLite on a local disk, or postgresql+psycopg://…",
    )
    catalog_busy_s: PositiveFloat = Field(default=10.0, description="How long a writer waits for another one.")


class PhotoStoreSettings(Group):
    """Any S3 that keeps raw photos, chips and models."""

    photos_endpoint: str = Field(default="http://127.0.0.1:9000", description="URL of the S3 server.")
    photos_bucket: str = Field(default="colega", description="The bucket; it must exist.")
    photos_region: str = Field(default="us-east-1", description="The bucket's region.")
    photos_access_key: SecretStr = Field(default=SecretStr(""), description="Access key of the store.")
    photos_secret_key: SecretStr = Field(default=SecretStr(""), description="Secret key of the store.")
    photos_folder: Path | None = Field(
        default=None, description="Where a store on this machine keeps its files; so a full disk is said to be one."
    )
    photos_sse: str = Field(
        default="none",
        pattern=r"^(none|s3|kms:.+)$",
        description="What the store is asked to encrypt with by itself: none, s3 or kms:KEYID. On top of our own sealing.",
    )


class BrokerSettings(Group):
    """The Redis or Valkey server through which processes speak; it keeps nothing on disk."""

    broker_url: SecretStr = Field(default=SecretStr("redis://127.0.0.1:6379/0"), description="URL of the broker.")


class Limits(Group):
    """What one request may ask of us."""

    max_upload_mb: PositiveInt = Field(default=20, description="Largest photo taken, in MB.")
    max_pixels: PositiveInt = Field(
        default=50_000_000, description="Photos of more pixels are refused before decoding."
    )
    max_model_mb: PositiveInt = Field(default=600, description="Largest model file taken, in MB.")
    max_archive_mb: PositiveInt = Field(default=4096, description="Largest archive taken, in MB.")
    max_archive_entries: PositiveInt = Field(default=10_000, description="Most entries of one archive.")
    max_archive_ratio: PositiveInt = Field(
        default=100, description="How many times its own size an archive may be unpacked, beyond the first 64 MB."
    )
    max_photos_per_request: PositiveInt = Field(default=64, description="Most photos of one request.")
    search_timeout_s: PositiveFloat = Field(default=5.0, description="A later answer is a 503 with Retry-After.")
    max_searches: PositiveInt = Field(default=8, description="Searches admitted at once by one gateway process.")
    event_streams: PositiveInt = Field(default=8, description="Event streams held open at once by one gateway process.")
    embeddings_over_api: bool = Field(
        default=False,
        description="Whether keys with the scope manage are given embeddings, which are as personal as photos "
        "(docs/python.md).",
    )
    shadow_queries: int = Field(
        default=0,
        ge=0,
        le=10_000,
        description="How many of the last searches are kept while a rebuild is under way, to compare by: as embeddings, in "
        "the broker's memory, until it ends. 0: none.",
    )


class Computing(Group):
    """What the workers compute with."""

    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto",
        description="Where models run; auto is a GPU where there is one, cuda does not compute without.",
    )
    device_memory_mb: NonNegativeInt = Field(
        default=0, description="What a process may take of its GPU for models; 0: as much as there is."
    )
    runtime: Literal["auto", "onnxruntime", "torch"] = Field(
        default="auto", description="What computes models; auto is torch on a GPU, ONNX Runtime otherwise."
    )
    variant: Literal["auto", "fp32", "int8", "fp16", "bf16"] = Field(
        default="auto",
        description="How models are computed; auto is int8, on a GPU fp16, where its self-check passes, else fp32.",
    )
    chunk: PositiveInt = Field(
        default=16, description="Photos that a worker is given at once; 256 keep a GPU busy (docs/gpu.md)."
    )
    worker_memory_mb: PositiveInt = Field(default=2048, description="Address space a worker may add while it decodes.")


class IndexSettings(Group):
    """Where faces are searched."""

    index_backend: Literal["faiss", "milvus"] = Field(default="faiss", description="The engine behind the index.")
    index_device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto",
        description="Where FAISS searches; auto is a GPU where there is one, cuda does not start without.",
    )
    index_gpu_vectors: Literal["fp16", "int8"] = Field(
        default="fp16", description="How a GPU keeps vectors, in 1,024 bytes a person or 512; the answers are the same."
    )
    index_gpu_memory_mb: NonNegativeInt = Field(
        default=0, description="Memory of each GPU that people may fill; 0: as much as there is."
    )
    index_memory_mb: PositiveInt = Field(
        default=4096, description="Replicas are dropped by least recent use above this."
    )
    index_poll_s: PositiveFloat = Field(default=0.5, description="A lost wake-up costs at most this.")
    index_pinned: str = Field(
        default="default",
        description="Collections that searchers hold from their start on, by name, with commas between.",
    )
    index_vectors: Literal["mapped", "memory"] = Field(
        default="mapped", description="Float16 vectors of large collections: mapped from disk, or all in memory."
    )
    index_snapshot_faces: PositiveInt = Field(
        default=1000, description="Collections of fewer faces are not written down: they are read from rows as quickly."
    )
    index_snapshot_s: PositiveFloat = Field(
        default=600.0, description="How often a large collection's index is written down, if it has changed."
    )


class MilvusSettings(Group):
    """The Milvus that holds the vectors, where COLEGA_INDEX_BACKEND is milvus."""

    milvus_uri: str = Field(default="", description="Where Milvus answers, such as http://milvus:19530.")
    milvus_token: SecretStr = Field(default=SecretStr(""), description="USER:PASSWORD, or an API key.")
    milvus_database: str = Field(default="default", description="A database that is this installation's alone.")
    milvus_index: Literal["FLAT", "HNSW", "SCANN", "DISKANN"] = Field(
        default="FLAT", description="Milvus's index type; FLAT is exact."
    )


class Retention(Group):
    """What is kept, and for how long."""

    keep_unassigned_days: NonNegativeInt = Field(default=30, description="Faces of nobody are removed after this.")


class Checking(Group):
    """How often it is looked whether catalog and photo store still agree."""

    check_every_h: NonNegativeFloat = Field(
        default=24.0, description="Each collection is checked so often; 0: only when asked for (docs/checks.md)."
    )
    check_sample: NonNegativeInt = Field(
        default=1000, description="Photos read and faces embedded anew by such a check, drawn at random."
    )


class GatewaySettings(Group):
    """How the gateway listens."""

    bootstrap_key_file: Path | None = Field(
        default=None, description="A file with the first API key (scope admin); refused once another admin key exists."
    )
    trusted_proxies: NonNegativeInt = Field(default=0, description="How many proxies in front are believed.")
    gateway_threads: PositiveInt = Field(default=32, description="Requests served at once by one gateway process.")
    hsts_s: NonNegativeInt = Field(
        default=2_592_000,
        description="Over HTTPS browsers are told to come that way only, for so long; 0: they are not.",
    )


class Telling(Group):
    """Where webhooks may go, and whom to believe."""

    webhook_private: bool = Field(
        default=True, description="Whether webhooks may go to private addresses and this machine (docs/webhooks.md)."
    )
    ca_file: Path | None = Field(
        default=None, description="Certificates (PEM) to trust beside the system's: the service's, those of webhooks."
    )


class MqttSettings(Group):
    """How `colega live` signs in to a broker of MQTT messages."""

    mqtt_user: str | None = Field(default=None, description="User; else that of the address, else nobody.")
    mqtt_password: SecretStr | None = Field(default=None, description="The user's password.")
    mqtt_ca_file: Path | None = Field(
        default=None, description="Certificates to trust with mqtts://, PEM; else those of the system."
    )


class ClientSettings(Group):
    """What the command line talks to."""

    url: str | None = Field(
        default=None, description="The service; else data/instance.json, else http://127.0.0.1:8000."
    )
    api_key: SecretStr | None = Field(default=None, description="The key to show; else the one in data/instance.json.")


GROUPS: tuple[type[Group], ...] = (
    Home,
    Tracing,
    CatalogSettings,
    PhotoStoreSettings,
    SealingSettings,
    BrokerSettings,
    Limits,
    Computing,
    IndexSettings,
    MilvusSettings,
    Retention,
    Privacy,
    Erasing,
    Auditing,
    Checking,
    BackupSettings,
    GatewaySettings,
    DoorSettings,
    Telling,
    MqttSettings,
    ClientSettings,
)

_G = TypeVar("_G", bound=Group)


class Environment:
    """The ``COLEGA_*`` values of one process, checked by name, from which groups are read."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)

    @classmethod
    def of_process(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read environment, the file it may name, and secrets in files.

        Raises:
            InvalidSettings: A name is unknown, or a named file cannot be read.
        """
        environ = os.environ if environ is None else environ
        found: dict[str, str] = {}
        if path := environ.get(ENV_FILE):
            if not Path(path).is_file():
                raise InvalidSettings(f"{ENV_FILE} names {path}, which is not a file.")
            found |= {k: v or "" for k, v in dotenv_values(path).items() if k.startswith(PREFIX)}
        found |= {k: v for k, v in environ.items() if k.startswith(PREFIX) and k != ENV_FILE}
        names = {f"{PREFIX}{field.upper()}": field for group in GROUPS for field in group.model_fields}
        secrets = {f"{name}_FILE": field for name, field in names.items() if _is_secret(field)}
        values: dict[str, str] = {}
        for name, value in found.items():
            if name in names:
                values[names[name]] = value
            elif name in secrets:
                values[secrets[name]] = _secret_from(name, Path(value))
            else:
                near = difflib.get_close_matches(name, [*names, *secrets], n=1, cutoff=0.0)
                raise InvalidSettings(f"There is no setting {name}. Did you mean {near[0]}?")
        return cls(values)

    def names(self, field: str) -> bool:
        """Whether a setting was given."""
        return field in self._values

    def load(self, group: type[_G]) -> _G:
        """Build one group.

        Raises:
            InvalidSettings: A value cannot be used; the sentence names the setting and what it must be.
        """
        chosen = {name: self._values[name] for name in group.model_fields if name in self._values}
        try:
            return group(**chosen)  # type: ignore[arg-type]
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            name = f"{PREFIX}{str(first['loc'][0]).upper()}"
            raise InvalidSettings(f"{name} cannot be used: {first['msg']}.") from None


def _is_secret(field: str) -> bool:
    return any(
        "SecretStr" in str(group.model_fields[field].annotation) for group in GROUPS if field in group.model_fields
    )


def _secret_from(name: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise InvalidSettings(f"{name} names {path}, which cannot be read: {error.strerror}.") from None
