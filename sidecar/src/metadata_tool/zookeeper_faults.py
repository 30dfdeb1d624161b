"""Turns ZooKeeper's errors into those of a command, with an exit code and a hint that fits the command."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from metadata_tool import errors
from metadata_tool.errors import ToolError
from metadata_tool.zookeeper import errors as faults
from metadata_tool.zookeeper.errors import ZooKeeperError
from metadata_tool.zookeeper.net.sasl import GSSAPI

Hint = str | Callable[[Any], str]
"""What to do: a text with `{error.<attribute>}` in it, or a function of the error."""
Hints = Mapping[type[ZooKeeperError], Hint]

TYPES: Mapping[type[ZooKeeperError], type[ToolError]] = {
    faults.Unreachable: errors.ZooKeeperUnreachable,
    faults.TooOld: errors.ZooKeeperUnsupported,
    faults.TreeWatchUnsupported: errors.ZooKeeperUnsupported,
    faults.LoginRefused: errors.ZooKeeperLoginFailed,
    faults.LoginDemanded: errors.ZooKeeperLoginFailed,
    faults.OtherLoginDemanded: errors.ZooKeeperLoginFailed,
    faults.SaslRefused: errors.ZooKeeperLoginFailed,
    faults.SaslNotOffered: errors.ZooKeeperLoginFailed,
    faults.SaslMismatch: errors.ZooKeeperLoginFailed,
    faults.NoTicket: errors.ZooKeeperLoginFailed,
    faults.KeytabUnreadable: errors.SettingError,
    faults.KeyMissing: errors.SettingError,
    faults.LibraryMissing: errors.SettingError,
    faults.AuthoritiesUnusable: errors.SettingError,
    faults.CertificateUnusable: errors.SettingError,
    faults.Untrusted: errors.ZooKeeperUntrusted,
    faults.SpeaksTls: errors.ZooKeeperUntrusted,
    faults.SpeaksNoTls: errors.ZooKeeperUntrusted,
    faults.AnswerUnclear: errors.ClusterRunning,
    faults.NameUnresolved: errors.ZooKeeperUnreachable,
    faults.SessionLost: errors.ZooKeeperSessionLost,
    faults.ZnodeUnreadable: errors.ZnodeUnreadable,
    faults.ReadRefused: errors.ZnodeUnreadable,
    faults.WriteRefused: errors.ZnodeUnreadable,
    faults.ChrootMissing: errors.SettingError,
    faults.ChrootDeleted: errors.SettingError,
    faults.NeverConsistent: errors.CaptureStarved,
    faults.SpoolDamaged: errors.CaptureUnsound,
    faults.DataDirNotEmpty: errors.DataDirNotEmpty,
    faults.DataMisplaced: errors.DataDirNotEmpty,
    faults.DataDirLocked: errors.DataDirUnusable,
    faults.DataDirTooSmall: errors.DataDirUnusable,
    faults.DataDirUnusable: errors.DataDirUnusable,
    faults.LogDirUnusable: errors.DataDirUnusable,
}

_MECHANISM = "Set ZOOKEEPER_SASL_MECHANISM to the mechanism of the servers' JAAS login, DIGEST-MD5 or GSSAPI"


def _sasl_refused(error: faults.SaslRefused) -> str:
    login = "ZOOKEEPER_SASL_PRINCIPAL"
    if error.mechanism != GSSAPI:
        login = "ZOOKEEPER_SASL_USER and ZOOKEEPER_SASL_PASSWORD"
    return f"Check {login}. Check that ZOOKEEPER_SASL_MECHANISM is the mechanism of the servers' JAAS login"


_CLOCK = "Set the clocks. Kerberos allows a difference of 5 minutes"
_KDC = "Check KRB5_CONFIG, and that its KDCs answer"
_OLD_KEY = "Export ZOOKEEPER_SASL_KEYTAB again. Its key is out of date"
_TICKETS = {
    # krb5.h: the most likely cause of each error
    -1765328378: "Check ZOOKEEPER_SASL_PRINCIPAL",  # KDC_ERR_C_PRINCIPAL_UNKNOWN
    -1765328377: "Check ZOOKEEPER_SASL_SERVICE, and that ZOOKEEPER_SERVERS has the hosts of the servers' principals",
    -1765328353: _OLD_KEY,  # KRB_AP_ERR_BAD_INTEGRITY
    -1765328360: _OLD_KEY,  # KDC_ERR_PREAUTH_FAILED
    -1765328347: _CLOCK,  # KRB_AP_ERR_SKEW
    -1765328352: _CLOCK,  # KRB_AP_ERR_TKT_EXPIRED
    -1765328351: _CLOCK,  # KRB_AP_ERR_TKT_NYV
    -1765328230: _KDC,  # REALM_UNKNOWN
    -1765328228: _KDC,  # KDC_UNREACH
    -1765328164: _KDC,  # REALM_CANT_RESOLVE
}


def _no_ticket(error: faults.NoTicket) -> str:
    return _TICKETS.get(error.code, "Check ZOOKEEPER_SASL_PRINCIPAL, ZOOKEEPER_SASL_KEYTAB and KRB5_CONFIG")


_ACCESS: Hints = {
    faults.LoginRefused: "Check ZOOKEEPER_AUTH",
    faults.LoginDemanded: "Set ZOOKEEPER_SASL_MECHANISM, or ZOOKEEPER_AUTH if the servers' enforce.auth.schemes "
    "has digest",
    faults.OtherLoginDemanded: "Look for enforce.auth.schemes in the servers' configuration, and set ZOOKEEPER_AUTH "
    "if it has digest",
    faults.SaslRefused: _sasl_refused,
    faults.SaslNotOffered: "Leave ZOOKEEPER_SASL_MECHANISM empty, or give the servers a SASLAuthenticationProvider "
    "and a JAAS login",
    faults.SaslMismatch: _MECHANISM,
    faults.NoTicket: _no_ticket,
    faults.KeytabUnreadable: "Set ZOOKEEPER_SASL_KEYTAB to a keytab",
    faults.KeyMissing: "Check ZOOKEEPER_SASL_PRINCIPAL and KRB5_CONFIG. `klist -k` shows the keys of "
    "ZOOKEEPER_SASL_KEYTAB",
    faults.LibraryMissing: "Install MIT Kerberos, Debian's package libgssapi-krb5-2, or set "
    "ZOOKEEPER_SASL_MECHANISM to DIGEST-MD5",
    faults.AuthoritiesUnusable: "Set ZOOKEEPER_TLS_CA to a file in PEM format",
    faults.CertificateUnusable: "Set ZOOKEEPER_TLS_CERT and ZOOKEEPER_TLS_KEY to files in PEM format, and "
    "ZOOKEEPER_TLS_KEY_PASSWORD to the key's password",
    faults.Untrusted: "Check ZOOKEEPER_TLS_CA, ZOOKEEPER_TLS_CERT, and the port",
    faults.SpeaksTls: "Set ZOOKEEPER_TLS=true, or ZOOKEEPER_SERVERS to ports without TLS",
    faults.SpeaksNoTls: "Set ZOOKEEPER_TLS=false, or ZOOKEEPER_SERVERS to the servers' secureClientPorts",
}
"""Hints about connections and logins, for every command that asks an ensemble."""


def _untouched(hint: Hint) -> Hint:
    """The hint of a restore that was refused."""
    if isinstance(hint, str):
        return f"{hint}. Nothing was touched"
    return lambda error: f"{hint(error)}. Nothing was touched"


FOR_BACKUP: Hints = {
    **_ACCESS,
    faults.Unreachable: "Check ZOOKEEPER_SERVERS, ZOOKEEPER_TLS, name resolution, and that the ensemble has a quorum",
    faults.TooOld: "Upgrade the ensemble. ZooKeeper 3.6 and later are supported",
    faults.TreeWatchUnsupported: "Remove the Java property zookeeper.watchManagerName from its servers",
    faults.SessionLost: "Check the ensemble's health, and whether its logs complain of requests larger than "
    "jute.maxbuffer. Nothing was uploaded, and the next backup starts from the beginning",
    faults.ZnodeUnreadable: "Give the backup a login (ZOOKEEPER_AUTH or SASL) with {error.rights}. "
    "Nothing was uploaded",
    faults.ReadRefused: "Look for this error in the logs of the servers. Nothing was uploaded",
    faults.ChrootMissing: "Check the chroot in ZOOKEEPER_SERVERS",
    faults.ChrootDeleted: "Find out which client deleted the chroot of ZOOKEEPER_SERVERS",
    faults.NeverConsistent: "Find out which client writes so much, or give the backup a faster network to ZooKeeper. "
    "Nothing was uploaded",
    faults.SpoolDamaged: "Check the disk of SPOOL_DIR, and whether other programs write there. Nothing was uploaded",
}

FOR_RESTORE: Hints = {
    **{fault: _untouched(hint) for fault, hint in _ACCESS.items()},
    faults.Unreachable: "Check that the ensemble has a quorum, then run the restore again. Nothing was touched",
    faults.TooOld: "Upgrade the ensemble. ZooKeeper 3.6 and later are supported. Nothing was touched",
    faults.AnswerUnclear: "Check ZOOKEEPER_TLS, and that ZOOKEEPER_SERVERS has the members' client ports. "
    "A running ensemble is never restored. Nothing was touched",
    faults.NameUnresolved: "Check DNS, then run the restore again. Nothing was touched",
    faults.ZnodeUnreadable: "Set ZOOKEEPER_AUTH, or ZOOKEEPER_SASL_MECHANISM, to a login with "
    "{error.rights}. Nothing was touched",
    faults.SessionLost: "Check the ensemble's health, then run the restore again. Nothing was touched",
    faults.ReadRefused: "Look for this error in the logs of the servers. Nothing was touched",
    faults.DataDirNotEmpty: "Restore only into the data directory of a new ZooKeeper. If none of this data is needed, "
    "set OVERWRITE_EXISTING=true to move it aside. Nothing was touched",
    faults.DataMisplaced: "Set ZOOKEEPER_DATA_DIR to the dataDir of zoo.cfg, and ZOOKEEPER_DATA_LOG_DIR to its "
    "dataLogDir, the directories above version-2. If they are right, move these files away. Nothing was touched",
    faults.DataDirLocked: "Wait until the other restore has ended. Nothing was touched",
    faults.DataDirTooSmall: "Enlarge the volume of ZOOKEEPER_DATA_DIR. Nothing was touched",
    faults.DataDirUnusable: "Mount a volume at ZOOKEEPER_DATA_DIR that this user may write, with enough room",
    faults.LogDirUnusable: "Mount a volume at ZOOKEEPER_DATA_LOG_DIR that this user may write, with enough room",
}


FOR_PUT_BACK: Hints = {
    **_ACCESS,
    faults.Unreachable: "Check ZOOKEEPER_SERVERS, ZOOKEEPER_TLS, and that the ensemble has a quorum",
    faults.TooOld: "Upgrade the ensemble. ZooKeeper 3.6 and later are supported",
    faults.SessionLost: "Check the ensemble's health, then run put-back again",
    faults.ZnodeUnreadable: "Set ZOOKEEPER_AUTH, or ZOOKEEPER_SASL_MECHANISM, to a login with {error.rights}",
    faults.ReadRefused: "Look for this error in the logs of the servers",
    faults.WriteRefused: "Set ZOOKEEPER_AUTH, or ZOOKEEPER_SASL_MECHANISM, to a login that may write {error.path}",
}


@contextmanager
def explained(hints: Hints) -> Iterator[None]:
    """Raise ZooKeeper's errors within the block as the command's, with these hints."""
    try:
        yield
    except ZooKeeperError as error:
        raise as_tool_error(error, hints) from error


def as_tool_error(error: ZooKeeperError, hints: Hints) -> ToolError:
    """The command's error for one of ZooKeeper's."""
    hint = hints.get(type(error), "")
    return TYPES[type(error)](str(error), hint.format(error=error) if isinstance(hint, str) else hint(error))
