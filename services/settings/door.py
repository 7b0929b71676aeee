"""What protects the gateway from those who come to it."""

from pydantic import Field, PositiveFloat, PositiveInt, field_validator

from services.settings.group import Group


class DoorSettings(Group):
    """How much the gateway bears of one key, of one address, and of slow clients."""

    rate_limit: str = Field(
        default="12000/minute",
        description="Requests of one key, such as 50/second; 12000/minute: a limit has a number and a time. Empty: no limit.",
    )
    attempts_per_minute: PositiveInt = Field(
        default=60, description="Requests with a key that is none, of one address; then they are answered 429."
    )
    max_uploads: PositiveInt = Field(
        default=4, description="Requests that bring files to be kept, received at once by one gateway process."
    )
    max_json_kb: PositiveInt = Field(default=1024, description="Largest body of JSON, in kB; photos in JSON apart.")
    max_json_depth: PositiveInt = Field(default=16, description="How deep lists and objects of JSON may be nested.")
    max_json_values: PositiveInt = Field(default=100_000, description="Most keys and values of one body of JSON.")
    client_grace_s: PositiveFloat = Field(
        default=10.0,
        description="Within this headers must be there, and a TLS handshake done, however slow a client is.",
    )
    slowest_client_kb_s: PositiveInt = Field(
        default=16,
        description="Clients that send a body or read an answer more slowly than this are cut off, once COLEGA_CLIENT_GRACE_S is "
        "over. A proxy in front may be more patient.",
    )
    cors_origins: str = Field(
        default="",
        description="Pages of other sites that may call the API, such as https://intranet.example, with commas between; empty: "
        "none. They show a key; the console's cookie is never taken from them.",
    )

    @field_validator("rate_limit")
    @classmethod
    def _is_a_rate(cls, given: str) -> str:
        if given:
            from limits import parse_many  # noqa: PLC0415 - Takes its time, and commands read settings, too.

            try:
                parse_many(given)
            except ValueError:
                raise ValueError(f"{given} is no limit; give one as in 50/second; 12000/minute") from None
        return given

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, given: str) -> str:
        for origin in _origins(given):
            if not origin.startswith(("https://", "http://")) or origin.count("/") != 2:
                raise ValueError(f"{origin} is no origin; give a scheme and a host, as in https://intranet.example")
        return given

    @property
    def origins(self) -> frozenset[str]:
        """Those of ``cors_origins``."""
        return _origins(self.cors_origins)


def _origins(given: str) -> frozenset[str]:
    return frozenset(each.strip() for each in given.split(",") if each.strip())
