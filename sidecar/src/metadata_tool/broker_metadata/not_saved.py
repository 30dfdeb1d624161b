"""Why a broker's metadata is not saved."""

from enum import StrEnum

from metadata_tool.errors import BrokerDenied, BrokerUnreachable, ToolError


class Reason(StrEnum):
    """The kind of a reason, as a label of a metric."""

    DELETED = "deleted"
    DENIED = "denied"
    FAILED = "failed"
    LATE = "late"
    UNREACHABLE = "unreachable"
    UNSUPPORTED = "unsupported"


class NotSavedError(Exception):
    """Something cannot be saved. `why` is a clause such as `the topic does not exist any more`."""

    def __init__(self, reason: Reason, why: str) -> None:
        super().__init__(why)
        self.reason, self.why = reason, why

    @classmethod
    def of(cls, error: ToolError) -> "NotSavedError":
        """The NotSavedError for an error of a request."""
        reason = Reason.FAILED
        if isinstance(error, BrokerDenied):
            reason = Reason.DENIED
        elif isinstance(error, BrokerUnreachable):
            reason = Reason.UNREACHABLE
        return cls(reason, error.message)
