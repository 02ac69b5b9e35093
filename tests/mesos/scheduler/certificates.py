"""A private authority and what it signed, made with the openssl command in a second."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


def openssl(*arguments: str | Path) -> None:
    subprocess.run(
        ["openssl", *map(str, arguments)], check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=60
    )


@dataclass(frozen=True)
class Authority:
    folder: Path
    name: str

    @classmethod
    def make(cls, folder: Path, name: str) -> Authority:
        authority = cls(folder, name)
        openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", f"/CN={name}", "-keyout", folder / f"{name}.key", "-out", authority.certificate,
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign",
        )  # fmt: skip
        return authority

    @property
    def certificate(self) -> Path:
        return self.folder / f"{self.name}.pem"

    def sign(self, name: str, alternative: str) -> tuple[Path, Path]:
        """A certificate for `alternative` (such as IP:127.0.0.1), and its key."""
        request, certificate, key = (self.folder / f"{name}.{end}" for end in ("csr", "pem", "key"))
        openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
            "-keyout", key, "-out", request, "-addext", f"subjectAltName={alternative}",
        )  # fmt: skip
        openssl(
            "x509", "-req", "-in", request, "-days", "2", "-CA", self.certificate, "-CAkey",
            self.folder / f"{self.name}.key", "-CAcreateserial", "-copy_extensions", "copy", "-out", certificate,
        )  # fmt: skip
        return certificate, key

    def server(self, name: str, alternative: str, ask_client: bool = False) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.sign(name, alternative))
        if ask_client:
            context.load_verify_locations(self.certificate)
            context.verify_mode = ssl.CERT_REQUIRED
        return context
