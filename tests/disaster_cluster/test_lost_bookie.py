"""Bookies lose their volumes, one after the other, and nothing else is lost."""

import re

import pytest

from support.cluster import eventually, kubectl, logged
from support.cluster_world import CLUSTER, World

_COMMAND = r"(bin/bookkeeper shell decommissionbookie -bookieid \S+:\d+)"


@pytest.mark.parametrize("number", [1, 2])
def test_volumes_of_a_bookie_are_lost(running: World, number: int) -> None:
    """The empty bookie waits and says what to run. That copies its ledgers, so each bookie's loss costs no message."""
    running.produce(running.topics.values(), 60)
    pod = f"{CLUSTER}-bookie-{number}"
    kubectl("delete", "pvc", f"journal-{pod}", f"ledgers-{pod}", "--wait=false")
    kubectl("delete", "pod", pod)
    running.say(f"the volumes of {pod} are deleted")
    said = eventually("it says what to run", lambda: re.search(_COMMAND, logged(pod)))
    assert said
    kubectl("exec", f"{CLUSTER}-toolset-0", "--", *said[1].split())
    running.wait()
    running.say(f"{pod} serves again, and its ledgers have other copies")
    running.check()
