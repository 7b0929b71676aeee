"""A group of settings, frozen: what every class of settings is."""

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict


class Group(BaseSettings):
    """A frozen group of settings; read with ``Environment.load``, never from a field's default factory."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is handed over counts: ``Environment`` has read environment, file and secrets already."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)
