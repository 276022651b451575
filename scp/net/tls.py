"""TLS 1.2 or newer at both ends of an association; each shows a certificate (PS3.15 Annex B, BCP 195)."""

import hashlib
import hmac
import ssl

from scp.config import TLS, Peer
from scp.errors import ConfigurationError, PeerFailed

FAILURES = {
    "WRONG_VERSION_NUMBER": "the other end does not speak TLS",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the other end shows no certificate",
    "UNSUPPORTED_PROTOCOL": "the other end speaks no TLS 1.2 or newer",
}
"""By the reason that OpenSSL has for it."""


def acceptor_context(tls: TLS) -> ssl.SSLContext:
    """Return what the listener wraps connections in. Raises ``ConfigurationError`` for unusable files."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    return _loaded(context, tls)


def requestor_context(tls: TLS, peer: Peer) -> ssl.SSLContext:
    """Return what a connection to *peer* is wrapped in.

    The name in the certificate must be ``peer.host``, unless the one certificate that counts is configured.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = not peer.certificate_sha256
    return _loaded(context, tls)


def check_certificate(connection: ssl.SSLSocket, peer: Peer) -> None:
    """Raise ``PeerFailed`` unless *peer* showed the certificate that is configured for it, if one is."""
    if not peer.certificate_sha256:
        return
    shown = hashlib.sha256(connection.getpeercert(binary_form=True) or b"").hexdigest()
    if not hmac.compare_digest(shown, peer.certificate_sha256.lower()):
        raise PeerFailed(f"shows the certificate {shown}, not the one of certificate_sha256")


def failure_text(error: Exception) -> str:
    """Return what went wrong in a handshake: in words where it happens to people, else as OpenSSL says it."""
    return FAILURES.get(getattr(error, "reason", None) or "", str(error))


def _loaded(context: ssl.SSLContext, tls: TLS) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _check_readable(tls)
    try:
        context.load_cert_chain(tls.certificate, tls.key)
    except OSError as error:
        raise ConfigurationError(
            f"tls.certificate {tls.certificate} and tls.key {tls.key}: are no pair in PEM: {error}"
        ) from error
    try:
        context.load_verify_locations(tls.ca)
    except OSError as error:
        raise ConfigurationError(f"tls.ca {tls.ca}: holds no certificates in PEM: {error}") from error
    return context


def _check_readable(tls: TLS) -> None:
    """Raise ``ConfigurationError`` naming each file that cannot be read: OpenSSL does not tell which."""
    wrong = []
    for key, path in (("certificate", tls.certificate), ("key", tls.key), ("ca", tls.ca)):
        try:
            path.open("rb").close()
        except OSError as error:
            wrong.append(f"tls.{key} {path}: cannot be read: {error.strerror}")
    if wrong:
        raise ConfigurationError("\n".join(wrong))
