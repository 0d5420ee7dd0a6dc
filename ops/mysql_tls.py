"""TLS with MySQL. A server's certificate is judged as the native engine judges it, so that every connection agrees."""

from __future__ import annotations

import ssl

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

HINT = "Check [source] tls and ca_file, and that the certificate names the host in subjectAltName."
_RSA_BITS = range(2048, 8193)


def context(ca_file: str | None) -> ssl.SSLContext:
    """Verifies the server with the certificates of a file, or with the system's."""
    made = ssl.create_default_context(cafile=ca_file)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.hostname_checks_common_name = False
    made.sslsocket_class = _Socket
    return made


def why(error: ssl.SSLError) -> str:
    """What was wrong, in words."""
    return getattr(error, "verify_message", None) or getattr(error, "reason", None) or str(error)


class _Socket(ssl.SSLSocket):
    """Refuses what OpenSSL takes and the native engine's rustls does not (webpki, "CaUsedAsEndEntity")."""

    def do_handshake(self, block: bool = False) -> None:
        super().do_handshake(block)
        if fault := _fault(self.getpeercert(binary_form=True) or b""):
            raise ssl.SSLCertVerificationError(f"the server's certificate {fault}")


def _fault(der: bytes) -> str:
    try:
        certificate = x509.load_der_x509_certificate(der)
        key = certificate.public_key()
        constraints = [e.value for e in certificate.extensions if isinstance(e.value, x509.BasicConstraints)]
    except (ValueError, UnsupportedAlgorithm) as error:
        return f"cannot be read: {error}"
    if any(found.ca for found in constraints):
        return "is one of an authority (basicConstraints CA:TRUE); a server needs one of its own"
    if isinstance(key, rsa.RSAPublicKey) and key.key_size in _RSA_BITS:
        return ""
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1):
        return ""
    if isinstance(key, ed25519.Ed25519PublicKey):
        return ""
    return "has a key that is neither RSA of 2048 to 8192 bits, nor ECDSA P-256 or P-384, nor Ed25519"
