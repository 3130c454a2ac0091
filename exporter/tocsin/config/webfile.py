"""The file of `--web.config.file`: TLS and users of Tocsin's own port, in the words of the Prometheus exporters."""

from typing import Annotated, Literal

from pydantic import Field

from tocsin.config.base import Model, Name, Path

BcryptHash = Annotated[str, Field(pattern=r"^\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}$")]


class TlsServer(Model):
    """TLS on Tocsin's own port."""

    cert_file: Path
    """File with the certificate and those between it and its root."""
    key_file: Path
    """File with the key of the certificate."""
    client_ca_file: Path | None = None
    """File with the certificates that must have signed a client's; without it clients need none."""
    min_version: Literal["TLS12", "TLS13"] = "TLS12"
    """Oldest version of TLS that is spoken."""


class WebFile(Model):
    """The file of `--web.config.file`; routes that ask for a principal need no user."""

    tls_server_config: TlsServer | None = None
    """Certificate and key; without it the port speaks plain HTTP."""
    basic_auth_users: dict[Name, BcryptHash] = Field(default={})
    """Users and the bcrypt hashes of their passwords, as `htpasswd -nB` prints them; without any nobody is asked."""
