"""Kerberos by MIT's libgssapi_krb5.so.2, as far as SASL's mechanism GSSAPI needs it: a ticket from a keytab, a context.

The library is called by ctypes, so nothing is compiled, and loaded only if it is needed. The functions are those of
RFC 2744, and MIT's `gss_acquire_cred_from`, which takes a keytab instead of environment variables
(https://web.mit.edu/kerberos/krb5-latest/doc/appdev/gssapi.html).
"""

import ctypes
import hashlib
import os
from typing import ClassVar

LIBRARY = "libgssapi_krb5.so.2"
_U32 = ctypes.c_uint32
_INITIATE, _ACCEPT = 1, 2
_MUTUAL, _SEQUENCE = 2, 8
_CONTINUE = 1
_ERRORS = 0xFFFF_0000
_INDEFINITE = _U32(0xFFFF_FFFF)
_DEFECTIVE = (6, 9, 10)
"""Routine errors: a bad signature, a defective token, a defective credential."""


class _Buffer(ctypes.Structure):
    """gss_buffer_desc."""

    _fields_: ClassVar = [("length", ctypes.c_size_t), ("value", ctypes.c_void_p)]
    kept: bytes


class _Oid(ctypes.Structure):
    """gss_OID_desc."""

    _fields_: ClassVar = [("length", _U32), ("elements", ctypes.c_void_p)]
    kept: bytes


class _OidSet(ctypes.Structure):
    """gss_OID_set_desc."""

    _fields_: ClassVar = [("count", ctypes.c_size_t), ("elements", ctypes.POINTER(_Oid))]


class _Pair(ctypes.Structure):
    """gss_key_value_element_desc."""

    _fields_: ClassVar = [("key", ctypes.c_char_p), ("value", ctypes.c_char_p)]


class _Pairs(ctypes.Structure):
    """gss_key_value_set_desc."""

    _fields_: ClassVar = [("count", _U32), ("elements", ctypes.POINTER(_Pair))]


def _pointer(data: bytes) -> ctypes.c_void_p:
    return ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p)


def _given(data: bytes) -> _Buffer:
    buffer = _Buffer(len(data), _pointer(data))
    buffer.kept = data  # the buffer points into these bytes
    return buffer


def _oid(encoded: str) -> _Oid:
    data = bytes.fromhex(encoded)
    oid = _Oid(len(data), _pointer(data))
    oid.kept = data
    return oid


_KRB5 = _oid("2a864886f712010202")  # 1.2.840.113554.1.2.2
_PRINCIPAL_NAME = _oid("2a864886f71201020201")  # GSS_KRB5_NT_PRINCIPAL_NAME
_SERVICE_NAME = _oid("2a864886f71201020104")  # GSS_C_NT_HOSTBASED_SERVICE
_MECHANISMS = _OidSet(1, ctypes.pointer(_KRB5))


class GssError(Exception):
    """An error with the library's text. `code` is Kerberos' error (krb5.h), 0 if it has none."""

    def __init__(self, text: str, code: int = 0, *, defective: bool = False) -> None:
        """`defective`: the other side sent an invalid token."""
        super().__init__(" ".join(text.split()))
        self.code = code
        self.defective = defective


class LibraryMissingError(Exception):
    """libgssapi_krb5.so.2 is not installed."""


def require_key(keytab: str, principal: str) -> None:
    """Check that a keytab has a key of this principal, or of any if it is empty. No KDC is asked.

    Raises:
        GssError: it has no key, or cannot be read.
        LibraryMissingError: the library is not installed.
    """
    library = _Library()
    store = {b"keytab": b"FILE:" + os.fsencode(keytab)}
    library.release_credential(library.credential(principal, _ACCEPT, store))


class Context:
    """One login to a service, by a ticket for a key of a keytab.

    Tickets stay in the memory of the process for the next login. libkrb5 renews them from the keytab.
    """

    def __init__(self, keytab: str, principal: str, service: str, host: str) -> None:
        """Get a ticket. An empty `principal` is the first one of the keytab.

        Raises:
            GssError: Kerberos gives no ticket.
            LibraryMissingError: the library is not installed.
        """
        self._library = _Library()
        file = os.fsencode(keytab)
        cache = hashlib.sha256(file + b"\0" + principal.encode()).hexdigest().encode()
        store = {b"client_keytab": b"FILE:" + file, b"ccache": b"MEMORY:" + cache}
        self._context = ctypes.c_void_p()
        self._target = self._library.name(f"{service}@{host}", _SERVICE_NAME)
        try:
            self._credential = self._library.credential(principal, _INITIATE, store)
        except GssError:
            self._library.release_name(self._target)
            raise

    def step(self, token: bytes | None) -> tuple[bytes, bool]:
        """The next token to send, and whether an answer is expected. The first `token` is None.

        Raises:
            GssError: Kerberos gives no ticket for that service, or the token is invalid.
        """
        out = _Buffer()
        given = ctypes.byref(_given(token)) if token is not None else None
        major = self._library.call(
            "gss_init_sec_context",
            self._credential,
            ctypes.byref(self._context),
            self._target,
            ctypes.byref(_KRB5),
            _U32(_MUTUAL | _SEQUENCE),
            _U32(0),
            None,
            given,
            None,
            ctypes.byref(out),
            None,
            None,
        )
        return self._library.taken(out), bool(major & _CONTINUE)

    def unwrap(self, token: bytes) -> bytes:
        """The content of a signed message.

        Raises:
            GssError: the signature is invalid.
        """
        out = _Buffer()
        context, given = self._context, ctypes.byref(_given(token))
        self._library.call("gss_unwrap", context, given, ctypes.byref(out), None, None)
        return self._library.taken(out)

    def wrap(self, data: bytes) -> bytes:
        """Sign a message, without encryption."""
        out = _Buffer()
        context, given = self._context, ctypes.byref(_given(data))
        self._library.call("gss_wrap", context, 0, _U32(0), given, None, ctypes.byref(out))
        return self._library.taken(out)

    def close(self) -> None:
        """Release everything."""
        self._library.release_context(self._context)
        self._library.release_name(self._target)
        self._library.release_credential(self._credential)


class _Library:
    """The functions of the library. Their errors are raised."""

    def __init__(self) -> None:
        try:
            self._loaded = ctypes.CDLL(LIBRARY)
        except OSError as error:
            raise LibraryMissingError(LIBRARY) from error

    def call(self, function: str, *arguments: object) -> int:
        """Call a function. Returns its major status.

        Raises:
            GssError: it failed.
        """
        minor = _U32()
        major = _U32(self._loaded[function](ctypes.byref(minor), *arguments)).value
        if major & _ERRORS:
            defective = (major >> 16) & 0xFF in _DEFECTIVE
            words = self._words(major, 0 if defective else minor.value)
            raise GssError(words, ctypes.c_int32(minor.value).value, defective=defective)
        return major

    def name(self, text: str, kind: _Oid) -> ctypes.c_void_p:
        made = ctypes.c_void_p()
        self.call("gss_import_name", ctypes.byref(_given(text.encode())), ctypes.byref(kind), ctypes.byref(made))
        return made

    def credential(self, principal: str, usage: int, store: dict[bytes, bytes]) -> ctypes.c_void_p:
        pairs = _Pairs(len(store), (_Pair * len(store))(*(_Pair(key, value) for key, value in store.items())))
        name = self.name(principal, _PRINCIPAL_NAME) if principal else ctypes.c_void_p()
        made = ctypes.c_void_p()
        mechanisms, places = ctypes.byref(_MECHANISMS), ctypes.byref(pairs)
        try:
            self.call(
                "gss_acquire_cred_from", name, _INDEFINITE, mechanisms, usage, places, ctypes.byref(made), None, None
            )
        finally:
            self.release_name(name)
        return made

    def taken(self, buffer: _Buffer) -> bytes:
        """The content of a buffer, which is released."""
        data = ctypes.string_at(buffer.value, buffer.length) if buffer.length else b""
        self._loaded.gss_release_buffer(ctypes.byref(_U32()), ctypes.byref(buffer))
        return data

    def release_context(self, context: ctypes.c_void_p) -> None:
        self._loaded.gss_delete_sec_context(ctypes.byref(_U32()), ctypes.byref(context), None)

    def release_name(self, name: ctypes.c_void_p) -> None:
        self._loaded.gss_release_name(ctypes.byref(_U32()), ctypes.byref(name))

    def release_credential(self, credential: ctypes.c_void_p) -> None:
        self._loaded.gss_release_cred(ctypes.byref(_U32()), ctypes.byref(credential))

    def _words(self, major: int, minor: int) -> str:
        """The text of Kerberos for an error if there is one, else that of GSSAPI."""
        return self._status(minor, 2) if minor else self._status(major, 1)

    def _status(self, code: int, kind: int) -> str:
        out, more = _Buffer(), _U32()
        mechanism = ctypes.byref(_KRB5)
        self._loaded.gss_display_status(
            ctypes.byref(_U32()), _U32(code), kind, mechanism, ctypes.byref(more), ctypes.byref(out)
        )
        return self.taken(out).decode(errors="replace")
