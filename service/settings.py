"""The service's settings: one typed value, read from flags, THUD_* environment variables and defaults."""

from typing import Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from index import DIVERSITY, OBJECT_WEIGHT
from model.errors import ThudError
from model.picture_format import PictureLimits
from model.threads import available_cpus
from service.environment import ENV_PREFIX, Environment, slips
from service.served_settings import ServedSettings

SHORTEST_KEY = 16
"""Of an API key, in characters."""


class SettingsError(ThudError):
    """A setting that is out of range."""


class Settings(ServedSettings):
    """What `thud serve` can be told. Each field is one flag, one environment variable and one default."""

    model_config = SettingsConfigDict(frozen=True, env_prefix=ENV_PREFIX, env_ignore_empty=True, extra="forbid")

    host: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Address to listen on; 0.0.0.0 opens the service to the network, :: by IPv6 and IPv4.",
    )
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    root_path: str = Field(
        "",
        pattern=r"^(/[^/?#\s]+)*$",
        description="Path prefix under which a reverse proxy publishes the service, such as /thud.",
    )
    workers: int = Field(1, ge=1, le=256, description="Processes that serve; one that dies is replaced.")
    threads: int = Field(
        # One more than there are CPUs keeps the event loop from refusing in time.
        default_factory=lambda given: -(-available_cpus() // given.get("workers", 1)),
        ge=1,
        le=1024,
        description="Requests that each process computes at the same time.",
        json_schema_extra={"default_text": "the CPUs, shared out among the workers"},
    )
    queue_seconds: float = Field(
        1.0,
        gt=0,
        description="How long a picture or another search may wait for its turn; more than would come to their "
        "turn by then are refused with 503.",
    )
    rate: float = Field(
        0.0,
        ge=0,
        description="Searches a second that each process takes of one client, which is a key where keys are wanted "
        "and else an address; further ones are refused with 429. 0 takes all.",
    )
    burst: int = Field(20, ge=1, description="Searches that one client may send at once, where there is a rate.")
    deadline_seconds: float = Field(
        30,
        gt=0,
        description="Time of a request for its upload, its place in the queue and its computing, in seconds.",
    )
    upload_memory_bytes: int = Field(
        256 * 2**20,
        ge=2**20,
        description="Bytes that all uploads to a process may take in memory together; the slowest gives way.",
    )
    max_body_bytes: int = Field(
        PictureLimits.max_bytes,
        ge=1024,
        description="Largest request body, and so the largest picture or sound, in bytes.",
    )
    max_sound_seconds: float = Field(
        60.0, ge=0.1, le=3600, description="Longest sound that may be asked with, in seconds."
    )
    max_pixels: int = Field(
        PictureLimits.max_pixels, ge=256, description="Largest picture in pixels, checked before it is decoded."
    )
    max_pixels_at_once: int = Field(
        default_factory=lambda given: 2 * given.get("max_pixels", PictureLimits.max_pixels),
        ge=256,
        description="Pixels that each process decodes at the same time, in all pictures together; they take up to "
        "20 bytes each. A JPEG counts as it is scaled down, unless it has several scans.",
        json_schema_extra={"default_text": "two of the largest pictures"},
    )
    max_connections: int = Field(
        1000,
        ge=1,
        description="Most connections to each process, besides probes; an idle one gives way, else the slowest.",
    )
    max_url_bytes: int = Field(8192, ge=256, description="Longest address, in bytes.")
    max_header_bytes: int = Field(32_768, ge=1024, description="Most bytes of all headers of a request.")
    header_seconds: float = Field(10.0, gt=0, description="Time for a request's address and headers to arrive.")
    send_seconds: float = Field(
        30.0,
        gt=0,
        description="Time in which a client must take what waits for it, where it reads more slowly than is sent, "
        "and the end of the last answer of a connection.",
    )
    linger_bytes: int = Field(
        64 * 2**20,
        ge=0,
        description="Most bytes of a refused body that are thrown away, so that its client can read the answer.",
    )
    linger_seconds: float = Field(10.0, gt=0, description="Time for which they are, in seconds.")
    keep_alive_seconds: int = Field(
        75,
        ge=1,
        description="Time for which a connection without a request stays open, in seconds; keep it longer than "
        "balancers in front do, which is 60 mostly.",
    )
    max_parts: int = Field(16, ge=1, description="Most parts of a multipart form.")
    max_part_headers: int = Field(8, ge=2, description="Most headers of a part of a multipart form.")
    max_part_header_bytes: int = Field(
        4096,
        ge=256,
        description="Largest header of a part of a multipart form, in bytes.",
    )
    api_keys: SecretStr = Field(
        SecretStr(""),
        description="Keys, separated by commas, of which a request needs one; probes need none. Better given as "
        "the variable, which other users of the machine do not see.",
        json_schema_extra={"default_text": "none, everybody is answered"},
    )
    cors_origins: str = Field(
        "", description="Origins, separated by commas, whose pages may use the service; * for all."
    )
    trusted_proxies: str = Field(
        "127.0.0.1,::1",
        description="Addresses, networks and host names, separated by commas, of reverse proxies whose "
        "X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Prefix are believed; * believes everybody.",
    )
    stop_seconds: int = Field(
        10,
        ge=1,
        description="How long requests may go on once the service was told to stop, in seconds; what has not ended "
        "3 seconds later is killed.",
    )
    drain_seconds: float = Field(
        0.0,
        ge=0,
        description="How long to go on accepting, but not be ready, once the service was told to stop, in seconds.",
    )
    watch_seconds: float = Field(
        5.0,
        ge=0,
        description="How often to look for a new index or bundle, which is taken over while serving; 0 looks "
        "only on SIGHUP, and again after what was refused.",
    )
    log_format: Literal["text", "json"] = Field(
        "text",
        description="text for people, or json: one object a line, requests on stdout and the rest on stderr.",
    )
    tracing: bool = Field(
        False,
        description="Send a span of each request to OTEL_EXPORTER_OTLP_ENDPOINT; true needs the extra otel.",
    )
    default_k: int = Field(10, ge=1, description="Results where a request does not say how many.")
    object_weight: float = Field(
        OBJECT_WEIGHT,
        ge=0,
        le=1,
        description="How much more a sound counts that names an object in the picture, where a request does not "
        "say: the most that is added to its score. 0 adds nothing.",
    )
    diversity: float = Field(
        DIVERSITY,
        ge=0,
        le=1,
        description="How much the sounds of an answer differ where a request does not say; 0 ranks "
        "by the score alone.",
    )
    max_k: int = Field(1000, ge=1, description="Most results that a request may ask for.")
    max_export_sounds: int = Field(
        100,
        ge=1,
        le=1000,
        description="Most sounds in one zip or table; each takes 24 bytes of the address (--max-url-bytes).",
    )
    max_export_bytes: int = Field(2**30, ge=2**20, description="Most bytes of all sounds in one zip.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is given wins over the environment, of which not all that has the prefix is a setting."""
        return init_settings, Environment(settings_cls)

    @model_validator(mode="after")
    def _default_within_most(self) -> Self:
        if self.default_k > self.max_k:
            raise ValueError(f"default_k is {self.default_k}, which is more than max_k, {self.max_k}")
        return self

    @model_validator(mode="after")
    def _one_upload_fits(self) -> Self:
        if self.upload_memory_bytes < self.max_body_bytes:
            raise ValueError(
                f"upload_memory_bytes is {self.upload_memory_bytes}, which is less than max_body_bytes, "
                f"{self.max_body_bytes}"
            )
        return self

    @model_validator(mode="after")
    def _one_picture_fits(self) -> Self:
        if self.max_pixels_at_once < self.max_pixels:
            raise ValueError(
                f"max_pixels_at_once is {self.max_pixels_at_once}, which is less than max_pixels, {self.max_pixels}"
            )
        return self

    @field_validator("api_keys")
    @classmethod
    def _keys_hard_to_guess(cls, keys: SecretStr) -> SecretStr:
        for key in _listed(keys.get_secret_value()):
            if len(key) < SHORTEST_KEY:
                raise ValueError(f"each key needs at least {SHORTEST_KEY} characters")
            # What is no text in the system's encoding is sent as it is.
            if not all(sign.isprintable() or "\udc80" <= sign <= "\udcff" for sign in key):
                raise ValueError("a key has a character that cannot be seen, such as a line end; none can be sent")
        return keys

    @property
    def keys(self) -> list[str]:
        """The API keys, none where everybody is answered."""
        return _listed(self.api_keys.get_secret_value())

    @property
    def origins(self) -> list[str]:
        """The origins that may use the service from their pages."""
        return _listed(self.cors_origins)

    @property
    def proxies(self) -> list[str]:
        """The proxies that are believed."""
        return _listed(self.trusted_proxies)

    @property
    def picture_limits(self) -> PictureLimits:
        """What a picture may be."""
        return PictureLimits(max_bytes=self.max_body_bytes, max_pixels=self.max_pixels)

    @property
    def longest_stop_seconds(self) -> float:
        """After so long, a process that was told to stop is killed; 3 s are for its last lines and connections."""
        return self.drain_seconds + self.stop_seconds + 3.0


def read_settings(flags: dict[str, Any]) -> Settings:
    """Settings from the flags that were given; the environment and the defaults fill in the rest.

    Raises SettingsError, which names every wrong setting by its flag and its environment variable.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    if mistyped := slips(Settings.model_fields):
        raise SettingsError("; ".join(mistyped))
    try:
        return Settings(**given)
    except ValidationError as error:
        # A default that is made of other settings fails with them, and is nobody's mistake.
        wrong = [item for item in error.errors() if item["type"] != "default_factory_not_called"]
        raise SettingsError("; ".join(_complaint(item["loc"], item["msg"]) for item in wrong)) from None


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _complaint(loc: tuple[int | str, ...], message: str) -> str:
    message = message.removeprefix("Value error, ")
    if not loc:
        return message
    name = str(loc[0])
    return f"{flag(name)} ({variable(name)}): {message[0].lower()}{message[1:]}"


def flag(name: str) -> str:
    """The flag of the field."""
    return "--" + name.replace("_", "-")


def variable(name: str) -> str:
    """The environment variable of the field."""
    return ENV_PREFIX + name.upper()
