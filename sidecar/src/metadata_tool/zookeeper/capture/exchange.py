"""Runs the phases of a capture over the connections of a session."""

from collections.abc import Callable

from metadata_tool.zookeeper.capture.phase import Phase
from metadata_tool.zookeeper.net.loop import Loop
from metadata_tool.zookeeper.net.messages import Event


def run(phase: Phase, loop: Loop, on_pump: Callable[[Phase], None]) -> None:
    """Run a phase to its end. `on_pump` is called often, after all that has arrived was passed on.

    Raises:
        ConnectionBroken: the connection broke, or the server broke the protocol.
        Exception: any error of the phase.
    """
    loop.send(phase.start())
    while not phase.done:
        for item in loop.pump(phase.rest):
            if isinstance(item, Event):
                phase.on_event(item)
                continue
            for urgent in phase.on_reply(item):
                loop.send(urgent)
                loop.write()
        loop.send(phase.on_idle())
        on_pump(phase)
