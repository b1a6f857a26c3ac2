"""A real LDAP server (ldaptor) on loopback: `python -m tests.support.directory_server FOLDER`.

FOLDER holds `people.ldif`, and `server.pem` (key and certificate). It listens in the clear (with StartTLS), with TLS,
and on a Unix socket in FOLDER; where, it says in one JSON line. The DN of every bind it is asked for goes to
`binds.log`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme

NAMED, OTHER = "127.0.0.1", "127.0.0.2"
"""Addresses of loopback: the one in the server's certificate, and one that is not. Not every machine knows a name."""
LDIF = """\
dn: dc=example,dc=org
dc: example
objectClass: dcObject

dn: ou=people,dc=example,dc=org
ou: people
objectClass: organizationalUnit

"""


@dataclass(frozen=True)
class Directory:
    """A directory that runs; `urls` by scheme, `authority` the file of who signed its certificate."""

    folder: Path
    urls: dict[str, str]
    authority: Path

    @property
    def asked(self) -> list[str]:
        """The DNs that somebody tried to bind as, in order."""
        return (self.folder / "binds.log").read_text().splitlines()


@contextmanager
def directory_up(folder: Path, passwords: dict[str, str]) -> Iterator[Directory]:
    """A directory of persons with these passwords."""
    people = "".join(
        f"dn: uid={uid},ou=people,dc=example,dc=org\nuid: {uid}\nobjectClass: account\nuserPassword: {password}\n\n"
        for uid, password in passwords.items()
    )
    (folder / "people.ldif").write_text(LDIF + people)
    (folder / "binds.log").touch()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    authority.issue_cert(NAMED).private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.directory_server", str(folder)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield Directory(folder, json.loads(process.stdout.readline()), folder / "authority.pem")
    finally:
        process.terminate()
        process.communicate(timeout=10)


def _serve(folder: Path) -> None:
    from ldaptor.inmemory import fromLDIFFile
    from ldaptor.interfaces import IConnectedLDAPEntry
    from ldaptor.protocols.ldap.ldapserver import LDAPServer
    from ldaptor.protocols.pureldap import LDAPExtendedResponse, LDAPStartTLSRequest
    from twisted.internet import reactor, ssl
    from twisted.internet.protocol import ServerFactory
    from twisted.python.components import registerAdapter

    pem = (folder / "server.pem").read_text()
    options = ssl.PrivateCertificate.loadPEM(pem).options()

    class Server(LDAPServer):  # type: ignore[misc]
        def handle_LDAPBindRequest(self, request: Any, controls: Any, reply: Any) -> Any:
            with (folder / "binds.log").open("ab") as log:
                log.write(request.dn + b"\n")
            return super().handle_LDAPBindRequest(request, controls, reply)

        def extendedRequest_StartTLS(self, _value: Any, reply: Any) -> None:
            reply(LDAPExtendedResponse(resultCode=0, responseName=LDAPStartTLSRequest.oid))
            self.transport.startTLS(options)

        extendedRequest_StartTLS.oid = LDAPStartTLSRequest.oid  # type: ignore[attr-defined]

    class Factory(ServerFactory):  # type: ignore[misc]
        protocol = Server
        root: Any = None

    def listen(root: Any) -> None:
        factory.root = root
        reactor.listenUNIX(str(folder / "ldapi"), factory, mode=0o600)
        urls = {"ldapi": f"ldapi://{str(folder / 'ldapi').replace('/', '%2F')}"}
        for where, address in (("", NAMED), (" elsewhere", OTHER)):
            clear = reactor.listenTCP(0, factory, interface=address).getHost().port
            encrypted = reactor.listenSSL(0, factory, options, interface=address).getHost().port
            urls[f"ldap{where}"] = f"ldap://{address}:{clear}"
            urls[f"ldaps{where}"] = f"ldaps://{address}:{encrypted}"
        sys.stdout.write(json.dumps(urls) + "\n")
        sys.stdout.flush()

    factory = Factory()
    registerAdapter(lambda factory: factory.root, Factory, IConnectedLDAPEntry)
    with (folder / "people.ldif").open("rb") as ldif:
        fromLDIFFile(ldif).addCallback(listen)
    reactor.run()


if __name__ == "__main__":
    os.umask(0o077)
    _serve(Path(sys.argv[1]))
