"""ZooKeeper loses its volumes, and the bookies keep theirs."""

from support.cluster_world import KEEPING, World


def test_volumes_of_zookeeper_are_lost(running: World) -> None:
    """What was not offloaded comes back, too: all in ledgers that the backup knows, with schemas and positions."""
    running.produce(running.topics.values(), 30)
    running.back_up()
    running.produce(running.named("plain", "json"), 40)
    running.lose(["zookeeper"])
    running.install(4, KEEPING)
    lost = running.forget(lambda topic, ledger: ledger in topic.saved)
    read = running.check()
    assert sum(len(topic.sent) for topic in running.topics.values()) == read
    running.say(f"{read} messages read by content. {lost} are in ledgers that were created after the backup")
    running.flows()
