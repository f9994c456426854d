"""The settings that only one kind of gateway has (crm.gateway.settings), and their check."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from rotina.errors import SettingError
from rotina.messaging.gateways import Kind

#: Headers that the adapter itself, or HTTP, needs for something else.
_TAKEN_HEADERS = {
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
}


def _free_header(name: str) -> str:
    if name.lower() in _TAKEN_HEADERS:
        raise ValueError("is needed for something else")
    return name


_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
_Path = Annotated[str, Field(pattern=r"^/[\x21-\x7e]*$")]
_HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"), AfterValidator(_free_header)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @classmethod
    def read(cls, settings: dict[str, Any]) -> Self:
        """The settings, checked. Raises SettingError, which names the first wrong one."""
        try:
            return cls.model_validate(settings)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = ".".join(["settings", *map(str, first["loc"])])
            value = None if first["type"] == "missing" or not first["loc"] else first["input"]
            raise SettingError(name, value, first["msg"].removeprefix("Value error, ")) from None


class OpaSuiteSettings(_Settings):
    """Settings of an `opa_suite` gateway."""

    channel_id: _Text
    """The channel (canal) that messages go out on."""


class HttpJsonSettings(_Settings):
    """Settings of an `http_json` gateway. Paths follow the address of the connection."""

    send_path: _Path
    status_path: _Path | None = None
    """Where a message is asked for, with `{key}` for its dedupe key; None: it cannot be."""
    available_path: _Path | None = None
    """Where the gateway tells how many messages may still be sent today; None: it does not."""
    idempotency_header: _HeaderName = "Idempotency-Key"
    absent_is_final: bool = False
    """Whether a 404 of the status path proves that the message was not taken, nor ever will be."""

    @model_validator(mode="after")
    def _status_path_has_the_key(self) -> Self:
        if self.status_path is not None and self.status_path.count("{key}") != 1:
            raise ValueError("status_path must hold {key} once")
        if self.absent_is_final and self.status_path is None:
            raise ValueError("absent_is_final needs a status_path")
        return self


class SmtpSettings(_Settings):
    """Settings of an `smtp` gateway."""

    connections: int = Field(default=4, ge=1, le=100)
    """Connections of one dispatcher, at most its share of the messages in flight."""
    messages_per_connection: int = Field(default=100, ge=1, le=1_000_000)
    """After as many messages a connection is replaced; servers limit it."""


_MODELS: dict[Kind, type[_Settings]] = {
    "opa_suite": OpaSuiteSettings,
    "http_json": HttpJsonSettings,
    "smtp": SmtpSettings,
}


def check_settings(kind: Kind, settings: dict[str, Any]) -> None:
    """Check the settings of a gateway of that kind.

    Raises:
        SettingError: names the first wrong setting, as `settings.<name>`.
    """
    _MODELS[kind].read(settings)
