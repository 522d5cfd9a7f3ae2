"""A certificate authority and a server certificate, made for one run and thrown away with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path) -> tuple[Path, Path, Path]:
    """Write ``ca.pem``, ``server.pem`` and ``server.key``, valid for loopback names, and return their paths.

    The authority's key is never written: nothing else can be signed with it.
    """
    import trustme  # noqa: PLC0415  # a run on the user's own servers does without

    authority = trustme.CA()
    server = authority.issue_cert("localhost", "127.0.0.1", "::1")
    ca, certificate, key = folder / "ca.pem", folder / "server.pem", folder / "server.key"
    authority.cert_pem.write_to_path(ca)
    ca.chmod(0o644)  # whatever the umask says: clients and servers of any user verify with it
    server.cert_chain_pems[0].write_to_path(certificate)
    key.touch(mode=0o600)
    server.private_key_pem.write_to_path(key)
    return ca, certificate, key
