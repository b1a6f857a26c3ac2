"""One question to a directory: `python -m mamba.session.logins.directory_check`, as JSON (see `outside`)."""

from __future__ import annotations

import ssl
from typing import Any

from ldap3 import NONE, Connection, Server, Tls
from ldap3.core.exceptions import LDAPException, LDAPSASLPrepError
from ldap3.utils.dn import escape_rdn

from mamba.session.logins.outside import Answer, answer_once

# constraintViolation and unwillingToPerform are what servers say of locked accounts, noSuchObject of unknown persons
_WRONG = {19: "locked", 32: "no such entry", 49: "invalid credentials", 50: "may not bind", 53: "locked"}


def check_with_directory(question: dict[str, Any]) -> Answer:
    """Bind as the person.

    Args:
        question: the fields of `LdapConfig`, `person`, `password`, `timeout_s`.
    """
    dn = question["user_dn"].replace("{person}", escape_rdn(question["person"]))
    timeout_s = max(1, int(question["timeout_s"] / 2))  # connecting and answering have one each
    tls = Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=question["ca_file"])
    server = Server(question["url"], tls=tls, get_info=NONE, connect_timeout=timeout_s)
    # referrals are not followed: they would carry the password to a server that nobody named
    connection = Connection(server, dn, question["password"], auto_referrals=False, receive_timeout=timeout_s)
    try:
        connection.open()
        if question["start_tls"] and not (connection.start_tls(read_server_info=False) and connection.tls_started):
            return {"verdict": "unavailable", "why": "the directory would not encrypt the connection (start_tls)"}
        bound = connection.bind()
    except LDAPSASLPrepError:
        return {"verdict": "wrong", "why": "characters that no directory takes in a password"}
    except LDAPException as error:
        return {"verdict": "unavailable", "why": _describe(error)}
    code = connection.result["result"]
    connection.unbind()
    if bound:
        return {"verdict": "right", "why": ""}
    if code in _WRONG:
        return {"verdict": "wrong", "why": f"{_WRONG[code]} ({code})"}
    return {"verdict": "unavailable", "why": f"the directory answered {connection.result['description']} ({code})"}


def _describe(error: LDAPException) -> str:
    # the texts of opening a connection are of sockets and certificates; nothing of the bind is in them
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}"


if __name__ == "__main__":
    answer_once(check_with_directory)
