"""What events and replies say of znodes."""

from metadata_tool.zookeeper.capture.changes import ChangeTracker, parent_of
from metadata_tool.zookeeper.capture.scope import Scope
from metadata_tool.zookeeper.net.messages import Event
from metadata_tool.zookeeper.protocol import CHANGED, CREATED, DELETED


def tracker(zxid: int = 100) -> ChangeTracker:
    """A tracker without marks, for which every znode is in scope and counted."""
    made = ChangeTracker(Scope())
    made.begin(zxid)
    return made


def test_before_the_first_reply() -> None:
    """Before the ensemble has told a zxid, nothing is dirty, and no zxid is known."""
    found = ChangeTracker(Scope())
    assert (0, 0, 0, []) == (found.zxid, found.last_unannounced_zxid, found.growth, list(found.dirty))


def test_create_and_delete_mark_the_parent() -> None:
    """A create and a delete change the parent's stat, a set does not."""
    found = tracker()
    found.event(Event(CHANGED, b"/a/b", 101))
    assert [b"/a/b"] == list(found.dirty)
    found.event(Event(CREATED, b"/c/d", 102))
    found.event(Event(DELETED, b"/e", 103))
    assert [b"/a/b", b"/c/d", b"/c", b"/e", b""] == list(found.dirty)


def test_reply_clears() -> None:
    """A reply clears marks, and later events mark again."""
    found = tracker()
    found.event(Event(CHANGED, b"/a", 101))
    found.clear([b"/a", b"/b"])
    assert [] == list(found.dirty)
    found.event(Event(CHANGED, b"/a", 102))
    assert [b"/a"] == list(found.dirty)


def test_touched() -> None:
    """An event returns the znodes that it marks, so that a cut learns of them."""
    found = tracker()
    assert (b"/a/b", b"/a") == found.event(Event(CREATED, b"/a/b", 101))
    assert (b"/a",) == found.event(Event(CHANGED, b"/a", 102))


def test_silent_zxids() -> None:
    """A zxid without an event is unannounced, whether the next event or a reply shows it."""
    found = tracker(100)
    found.event(Event(CHANGED, b"/a", 101))
    found.event(Event(CREATED, b"/b", 102))
    found.event(Event(CHANGED, b"/a", 102))  # of the same transaction
    found.reply(102)
    assert 100 == found.last_unannounced_zxid
    found.event(Event(CHANGED, b"/a", 104))
    assert 103 == found.last_unannounced_zxid
    found.reply(104)
    assert 103 == found.last_unannounced_zxid
    found.reply(107)
    assert 107 == found.last_unannounced_zxid


def test_no_zxids() -> None:
    """Events without a zxid, as before 3.9, announce no zxid."""
    found = tracker(100)
    found.event(Event(CHANGED, b"/a", -1))
    found.reply(101)
    assert 101 == found.last_unannounced_zxid


def test_another_epoch() -> None:
    """The zxids of a new leader are far higher, and those in between are unannounced."""
    found = tracker(0x5_0000_0010)
    found.event(Event(CHANGED, b"/a", 0x6_0000_0001))
    assert 0x6_0000_0000 == found.last_unannounced_zxid


def test_scope() -> None:
    """A znode outside of the chroot is not marked or counted, but the zxid of its event is noted."""
    found = ChangeTracker(Scope(b"/in"))
    found.begin(100)
    found.event(Event(CREATED, b"/out/x", 101))
    found.event(Event(CREATED, b"/in/x", 102))
    found.event(Event(CREATED, b"/in/y", 103))
    found.event(Event(DELETED, b"/in/x", 104))
    assert ([b"/in/x", b"/in", b"/in/y"], 1, 100) == (list(found.dirty), found.growth, found.last_unannounced_zxid)


def test_parents() -> None:
    """The parent of a path. The parent of the root is the root."""
    assert [b"/a", b"", b""] == [parent_of(path) for path in (b"/a/b", b"/a", b"")]
