"""One question to PAM: `python -m mamba.session.logins.pam_check`, question and answer as JSON (see `outside`).

By ctypes, since the packages there are cannot be given a folder of stacks and so cannot be tested without being root.
The numbers are those of Linux-PAM's `_pam_types.h`.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, c_char_p, c_int, c_size_t, c_void_p
from typing import Any

from mamba.session.logins.outside import Answer, answer_once

PAM_SUCCESS = 0
_USER = 2  # item
_QUIETLY = 0x8000 | 0x1  # PAM_SILENT, PAM_DISALLOW_NULL_AUTHTOK
_ECHO_OFF, _ECHO_ON = 1, 2  # kinds of questions; the others are texts to show

# PERM_DENIED, AUTH_ERR, CRED_INSUFFICIENT, USER_UNKNOWN, MAXTRIES, NEW_AUTHTOK_REQD, ACCT_EXPIRED, CRED_EXPIRED
_WRONG = {6, 7, 8, 10, 11, 12, 13, 16}


class _Message(Structure):
    _fields_ = (("style", c_int), ("text", c_char_p))


class _Response(Structure):
    _fields_ = (("text", c_void_p), ("code", c_int))


_Converse = ctypes.CFUNCTYPE(
    c_int, c_int, POINTER(POINTER(_Message)), POINTER(c_void_p), c_void_p
)  # count, questions, where the answers go, ours


class _Conversation(Structure):
    _fields_ = (("converse", _Converse), ("ours", c_void_p))


def check_with_pam(question: dict[str, Any]) -> Answer:
    """Authenticate, then ask whether the account may be used.

    Args:
        question: `service`, `stacks` (a folder instead of the system's, or None), `person`, `password`.
    """
    try:
        pam = ctypes.CDLL("libpam.so.0")
    except OSError:
        return {"verdict": "unavailable", "why": "this machine has no libpam.so.0"}
    pam.pam_strerror.restype = c_char_p
    person, password = question["person"].encode(), question["password"].encode()
    conversation = _Conversation(_make_answering(person, password), None)
    handle = c_void_p()
    status = _start(pam, question, conversation, handle)
    if status != PAM_SUCCESS:
        return {"verdict": "unavailable", "why": f"PAM cannot be started ({status})"}
    try:
        for step in (pam.pam_authenticate, pam.pam_acct_mgmt):
            status = step(handle, _QUIETLY)
            if status != PAM_SUCCESS:
                why = f"{step.__name__}: {pam.pam_strerror(handle, status).decode(errors='replace')} ({status})"
                return {"verdict": "wrong" if status in _WRONG else "unavailable", "why": why}
        return {"verdict": "right", "why": "", "person": _read_user(pam, handle)}
    finally:
        pam.pam_end(handle, status)


def _start(pam: ctypes.CDLL, question: dict[str, Any], conversation: _Conversation, handle: c_void_p) -> int:
    service, person = question["service"].encode(), question["person"].encode()
    to_handle = ctypes.byref(handle)
    if question["stacks"] is None:
        return int(pam.pam_start(service, person, ctypes.byref(conversation), to_handle))
    stacks = question["stacks"].encode()
    return int(pam.pam_start_confdir(service, person, ctypes.byref(conversation), stacks, to_handle))


def _read_user(pam: ctypes.CDLL, handle: c_void_p) -> str:
    user = c_char_p()
    pam.pam_get_item(handle, _USER, ctypes.byref(user))
    return (user.value or b"").decode()


def _make_answering(person: bytes, password: bytes) -> Any:
    libc = ctypes.CDLL(None)
    libc.calloc.restype, libc.calloc.argtypes = c_void_p, (c_size_t, c_size_t)
    libc.strdup.restype, libc.strdup.argtypes = c_void_p, (c_char_p,)
    answers = {_ECHO_OFF: password, _ECHO_ON: person}

    def converse(count: int, questions: Any, to_responses: Any, _ours: object) -> int:
        # from malloc, since libpam frees them
        to_responses[0] = libc.calloc(count, ctypes.sizeof(_Response))
        responses = ctypes.cast(to_responses[0], POINTER(_Response))
        for number in range(count):
            answer = answers.get(questions[number].contents.style)
            if answer is not None:
                responses[number].text = libc.strdup(answer)
        return PAM_SUCCESS

    return _Converse(converse)


if __name__ == "__main__":
    answer_once(check_with_pam)
