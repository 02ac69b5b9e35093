"""TLS towards masters and agents: a client's context from what an operator gives; certificates and names are verified
unless somebody says that they shall not be."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from thermos.errors import UserError


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """Without `ca` the system's authorities are trusted. `cert` and `key` are ours, for masters that ask who calls;
    one file may hold both."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    verify: bool = True  # the certificate's chain
    verify_hostname: bool = True  # that it is the certificate of the host that was called


def client_context(options: TlsOptions) -> ssl.SSLContext:
    """Raises UserError, which names the file that can't be used."""
    if options.key is not None and options.cert is None:
        raise UserError(f"cannot use the key {options.key} without its certificate; give that, too")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = options.verify and options.verify_hostname
    context.verify_mode = ssl.CERT_REQUIRED if options.verify else ssl.CERT_NONE
    if options.ca is not None:
        try:
            context.load_verify_locations(cafile=options.ca)
        except (OSError, ValueError) as error:  # SSLError is an OSError
            raise UserError(f"cannot use {options.ca} as certificate authority: {_reason(error)}") from error
    elif options.verify:
        context.load_default_certs()
    if options.cert is not None:
        try:
            context.load_cert_chain(options.cert, options.key, password=_no_password)
        except (OSError, ValueError) as error:
            raise UserError(f"cannot use the certificate {options.cert}: {_reason(error)}") from error
    return context


def _no_password() -> str:
    """Asked for an encrypted key's password; otherwise OpenSSL would ask on the terminal."""
    raise ValueError("its key is encrypted; give one that is not")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"it is no usable PEM file ({error.reason or error})"
    return getattr(error, "strerror", None) or str(error)
