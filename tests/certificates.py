"""Certificates for servers on this machine."""

from __future__ import annotations

import datetime as dt
import ipaddress
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_HERE = (x509.IPAddress(ipaddress.ip_address("127.0.0.1")),)
NAMES = (*_HERE, x509.DNSName("localhost"))


def certificate(
    folder: Path,
    name: str,
    issuer: Any = None,
    *,
    names: tuple[x509.GeneralName, ...] | None = None,
    ca: bool | None = None,
    curve: ec.EllipticCurve | None = None,
    common_name: str = "",
) -> Any:
    """Write `<name>.pem` and `<name>-key.pem`: an authority's, or one that it issues for 127.0.0.1, or as told.

    What it gives is the `issuer` of others.
    """
    names = (_HERE if issuer else ()) if names is None else names
    key = ec.generate_private_key(curve or ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name or name)])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None if ca is None else ca, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    made = builder.sign(issuer[1] if issuer else key, hashes.SHA256())
    (folder / f"{name}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / f"{name}-key.pem").write_bytes(pem)
    (folder / f"{name}-key.pem").chmod(0o644)  # mysqld runs as another user
    return made, key
