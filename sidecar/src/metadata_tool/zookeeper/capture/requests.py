"""The requests of a capture, with what is needed to understand their replies."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from metadata_tool.zookeeper import protocol
from metadata_tool.zookeeper.errors import ConnectionBroken, DecodeError, OperationMissing
from metadata_tool.zookeeper.net.messages import Reply, Request
from metadata_tool.zookeeper.protocol import DataReply, Refusal, on_wire_each


@dataclass(slots=True, eq=False)
class ReadZnodes(Request):
    """Data and stats of some znodes at one zxid."""

    paths: Sequence[bytes] = field(kw_only=True)

    @classmethod
    def of(cls, paths: Sequence[bytes]) -> "ReadZnodes":
        """The request for these."""
        return cls(protocol.MULTI_READ, [protocol.multi_read(on_wire_each(paths))], paths=paths)

    def replies(self, body: bytes) -> list[DataReply | Refusal]:
        """The replies in its answer, one for each path.

        Raises:
            DecodeError: the answer is malformed, or one of its replies is a list of children.
        """
        replies = protocol.read_replies(body)
        znodes = [reply for reply in replies if not isinstance(reply, list)]
        if not len(znodes) == len(replies) == len(self.paths):
            lists = len(replies) - len(znodes)
            raise DecodeError(
                f"{len(self.paths)} reads of data have {len(znodes)} answers, and {lists} lists of children"
            )
        return znodes


@dataclass(slots=True, eq=False)
class ReadAcls(Request):
    """The ACLs of some znodes, each at a zxid of its own."""

    paths: Sequence[bytes] = field(kw_only=True)

    @classmethod
    def of(cls, paths: Sequence[bytes]) -> "ReadAcls":
        """The request for these, on the connection of the events."""
        return cls(protocol.GET_ACL, on_wire_each(paths), paths=paths)


def only_answer(reply: Reply) -> tuple[int, bytes]:
    """The zxid and the body of the answer to a request with one body.

    Raises:
        OperationMissing: the server is too old for it.
        ConnectionBroken: the server refused it.
    """
    ((zxid, error, body),) = reply.answers
    if error:
        raise OperationMissing if error == protocol.UNIMPLEMENTED else ConnectionBroken(f"ZooKeeper's error {error}")
    return zxid, body
