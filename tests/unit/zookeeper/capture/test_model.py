"""A capture is exact in any interleaving of writes, replies, events and faults. No server is needed to show it."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis.stateful import run_state_machine_as_test

from metadata_tool.zookeeper.capture.acl_cache import AclCache
from metadata_tool.zookeeper.capture.scope import Scope
from metadata_tool.zookeeper.errors import ChrootDeleted
from metadata_tool.zookeeper.limits import CacheLimits, ReadLimits
from support.model import LATER_COUNTERS, Server, parent_of
from support.model_capture import ModelCapture
from support.model_machine import CHROOT, CaptureOfAModel, examples, require_exact


def test_every_capture_is_exact() -> None:
    """Whatever is written, delivered, throttled or lost, and in any order, a capture is the tree at its zxid."""
    run_state_machine_as_test(CaptureOfAModel, settings=examples(1000))


def at_the_cut(chroot: bytes = b"", limits: ReadLimits | None = None) -> tuple[Server, ModelCapture]:
    """A capture that has sent the first request of its cut."""
    server = Server()
    capture = ModelCapture(server, Scope(chroot), limits=limits)
    reach(capture, "cut")
    return server, capture


def reach(capture: ModelCapture, phase: str) -> None:
    """Nobody writes until a phase begins."""
    while capture.phase and capture.phase.name != phase:
        capture.turn()


def answer_all(server: Server, capture: ModelCapture) -> None:
    """The server answers all requests of the connection with the events, and the answers arrive."""
    while server.lines[0].requests:
        server.answer(0)
    while capture.deliver(0):
        pass


def finish(capture: ModelCapture) -> None:
    """The capture ends, and is exact."""
    capture.finish()
    require_exact(capture.tree(), capture.truth(), capture.capture.unproven)
    capture.close()


def test_late_read_before_the_first_reply() -> None:
    """If the first request is throttled, a znode may be read late before Z, and change again before Z."""
    server, capture = at_the_cut()
    server.throttled = 1
    server.answer(0)
    capture.deliver(0)
    server.set(b"/a")
    capture.deliver(0)
    capture.idle()
    answer_all(server, capture)
    server.set(b"/a")
    capture.deliver(0)
    capture.send_again()
    finish(capture)


def test_quota_that_was_just_set() -> None:
    """Counters that are first seen by a late read are not those of Z, so another round is needed."""
    server, capture = at_the_cut()
    server.create(parent_of(LATER_COUNTERS))
    server.create(LATER_COUNTERS)
    server.answer(0)
    while capture.deliver(0):
        pass
    server.create(b"/b/9")
    finish(capture)


def test_chroot_that_comes_back() -> None:
    """A chroot that does not exist at Z is missed, although one is there when znodes are counted."""
    server, capture = at_the_cut(CHROOT)
    server.delete_tree(CHROOT)
    with pytest.raises(ChrootDeleted):
        come_back(server, capture)
    capture.close()


def test_chroot_that_was_gone_before_it_was_walked() -> None:
    """The same if the walk has listed the chroot, and found it gone when it read its data."""
    server = Server()
    capture = ModelCapture(server, Scope(CHROOT))
    reach(capture, "walk")
    of_the_root = capture.phase
    while capture.phase is of_the_root:
        capture.turn()
    server.delete_tree(CHROOT)
    reach(capture, "cut")
    with pytest.raises(ChrootDeleted):
        come_back(server, capture)
    capture.close()


def come_back(server: Server, capture: ModelCapture) -> None:
    """The chroot is created again between the cut and the count."""
    answer_all(server, capture)  # at Z
    answer_all(server, capture)  # the late reads
    capture.idle()
    server.create(CHROOT)
    capture.finish()


def test_many_late_reads() -> None:
    """However many znodes change before Z, few requests are in flight at a time, and the round succeeds."""
    server, capture = at_the_cut(limits=ReadLimits(batch=1, cut_in_flight=3))
    for number in range(500):
        server.create(b"/b/%d" % number)
    waiting = set()
    while capture.phase and capture.phase.name == "cut":
        capture.turn()
        waiting.add(len(server.lines[0].requests))
    assert capture.capture.cut
    assert (1, True) == (capture.capture.cut.rounds, max(waiting) <= (3 + 1) * 16)  # each for 16 znodes
    finish(capture)


def test_sizes_that_the_cache_guessed_wrongly() -> None:
    """If znodes have grown, reads that were planned by sizes of the cache are planned again, and none is lost."""
    server, limits = Server(), ReadLimits(batch=16, in_flight=1, reply_bytes=700, unknown_bytes=300)
    for number in range(12):
        server.create(b"/b/%02d" % number)
    with TemporaryDirectory() as directory:
        cache = AclCache(Path(directory), CacheLimits(growth=100))
        finish(ModelCapture(server, Scope(), cache=cache, limits=limits))
        assert not cache.empty
        for number in range(12):
            server.set(b"/b/%02d" % number, 500)
        finish(ModelCapture(server, Scope(), cache=cache, limits=limits))
        cache.forget()
