"""RFC 3161 tokens: asked for, read and checked with openssl, or without it with rfc3161-client.

openssl comes first, since it reads tokens of authorities that the client cannot parse, and since
it is what the other side will use. Neither asks anybody: query and answer are files.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from forensics.errors import ToolFailed, ToolMissing
from forensics.tools import find_tool, run_tool

__all__ = ["check_token", "read_token", "write_query"]


def _has_openssl() -> bool:
    try:
        find_tool("openssl")
    except ToolMissing:
        return False
    return True


def _client() -> Any:
    try:
        import rfc3161_client
    except ImportError:
        # Neither is here: the error that names openssl says what to install.
        find_tool("openssl")
        raise
    return rfc3161_client


def write_query(signed: Path, out: Path) -> Path:
    """Write the question (``.tsq``) about the SHA-256 of a file.

    Raises
    ------
    ToolMissing, ToolFailed
    """
    if _has_openssl():
        run_tool("openssl", ["ts", "-query", "-data", signed.absolute(), "-sha256", "-cert", "-out",
                             out.absolute()])  # fmt: skip
        return out
    client = _client()
    asked = client.TimestampRequestBuilder().data(signed.read_bytes())
    out.write_bytes(asked.hash_algorithm(client.HashAlgorithm.SHA256).build().as_bytes())
    return out


def read_token(token: Path) -> tuple[str, str]:
    """What a token (``.tsr``) is over, as hexadecimal digits, and the time it states.

    Raises
    ------
    ToolMissing, ToolFailed
        There is nothing to read it with; it is no token.
    """
    if _has_openssl():
        said = run_tool("openssl", ["ts", "-reply", "-in", token.absolute(), "-text"])
        text = said.decode("utf-8", "replace")
        # "0000 - 7f 1e ... -0a   ....": the message imprint as openssl prints it.
        block = text.partition("Message data:")[2].partition("Serial number")[0]
        bytes_only = [line.partition(" - ")[2][:48] for line in block.splitlines()]
        imprint = "".join(c for line in bytes_only for c in line if c in "0123456789abcdef")
        when = next((line.partition(": ")[2] for line in text.splitlines()
                     if line.startswith("Time stamp:")), "")  # fmt: skip
        return imprint, when
    client = _client()
    try:
        info = client.decode_timestamp_response(token.read_bytes()).tst_info
        return info.message_imprint.message.hex(), info.gen_time.isoformat()
    except ValueError as error:
        raise ToolFailed(f"no timestamp token: {error}", tool="rfc3161-client") from None


def _issued(certificate: Any, issuer: Any) -> bool:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


def check_token(token: Path, signed: Path, authority: Path) -> None:
    """Check the authority's signature on a token over a file.

    Parameters
    ----------
    token, signed
        The token, and the file it is over.
    authority
        Certificates (PEM) that are trusted.

    Raises
    ------
    ToolFailed
        It does not hold.
    ToolMissing
    """
    if _has_openssl():
        run_tool("openssl", ["ts", "-verify", "-in", token.absolute(), "-data", signed.absolute(),
                             "-CAfile", authority.absolute()])  # fmt: skip
        return
    client = _client()
    from cryptography import x509

    try:
        response = client.decode_timestamp_response(token.read_bytes())
        trusted = x509.load_pem_x509_certificates(authority.read_bytes())
        builder = client.VerifierBuilder()
        for certificate in trusted:
            builder = builder.add_root_certificate(certificate)
        digest = hashlib.sha256(signed.read_bytes()).digest()
        builder.build().verify(response, digest)
        # The client takes the signer's key from a certificate without looking at the rest of it.
        carried = [x509.load_der_x509_certificate(c) for c in response.signed_data.certificates]
        for certificate in carried:
            issuers = [c for c in (*trusted, *carried) if c.subject == certificate.issuer]
            if not any(_issued(certificate, issuer) for issuer in issuers):
                raise ValueError("a certificate in it is damaged, or its issuer is not trusted")
    except (ValueError, client.VerificationError) as error:
        raise ToolFailed(f"the token does not hold: {error}", tool="rfc3161-client") from None
