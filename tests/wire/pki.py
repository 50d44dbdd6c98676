# SPDX-License-Identifier: Apache-2.0
"""Certificates that are wrong in one way each, and OCSP answers about them."""
import datetime
import functools

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID

from harness import Authority, as_general_name, sign, utc_now


@functools.lru_cache(None)
def rsa_key(bits):
    return rsa.generate_private_key(65537, bits)


@functools.lru_cache(None)
def p384_key():
    return ec.generate_private_key(ec.SECP384R1())


class Intermediate(Authority):
    """A CA below `parent`, with whatever is wrong with it: no CA flag, a path length, name constraints."""

    def __init__(self, parent, name, ca=True, pathlen=None, permitted=(), not_after=20, key_usage=True, algorithm=None):
        self.parent = parent
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = utc_now()
        b = (x509.CertificateBuilder().subject_name(self.name).issuer_name(parent.name).public_key(self.key.public_key())
             .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=30))
             .not_valid_after(now + datetime.timedelta(days=not_after)).add_extension(x509.BasicConstraints(ca, pathlen), True)
             .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), False))
        if key_usage:
            b = b.add_extension(x509.KeyUsage(True, False, False, False, False, ca, ca, False, False), True)
        if permitted:
            b = b.add_extension(x509.NameConstraints([as_general_name(n) for n in permitted], None), True)
        self.cert = sign(b, parent.key, algorithm or hashes.SHA256())
        self.pem = self.cert.public_bytes(serialization.Encoding.PEM)


def self_signed(name):
    """(certificate, key): its own issuer, no CA."""
    lone = Authority("alone")
    key = ec.generate_private_key(ec.SECP256R1())
    now = utc_now()
    return (x509.CertificateBuilder().subject_name(lone.name).issuer_name(lone.name).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=20))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False).sign(key, hashes.SHA256())), key


def staple(cert, issuer, signer=None, revoked=False, age_days=0, life_days=3, responder_cert=None):
    """A signed OCSP answer about `cert`, in DER. `signer` is the Authority whose key signs it, usually the issuer."""
    signer = signer or issuer
    now = utc_now() - datetime.timedelta(days=age_days, hours=1)
    status = ocsp.OCSPCertStatus.REVOKED if revoked else ocsp.OCSPCertStatus.GOOD
    b = ocsp.OCSPResponseBuilder().add_response(cert=cert, issuer=issuer.cert, algorithm=hashes.SHA1(), cert_status=status,
                                                this_update=now, next_update=now + datetime.timedelta(days=life_days),
                                                revocation_time=now if revoked else None,
                                                revocation_reason=x509.ReasonFlags.key_compromise if revoked else None)
    b = b.responder_id(ocsp.OCSPResponderEncoding.HASH, responder_cert or signer.cert)
    if responder_cert is not None:
        b = b.certificates([responder_cert])
    return b.sign(signer.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
