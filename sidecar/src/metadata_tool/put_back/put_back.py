"""One put-back: gives schemas and topic policies of a backup to the brokers of the ensemble restored from it."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from metadata_tool.broker_metadata.client import Asks, BrokerClient
from metadata_tool.broker_metadata.pace import Paced
from metadata_tool.broker_metadata.questions import CHANGE_EVENTS
from metadata_tool.broker_metadata.records import SavedSchemas
from metadata_tool.broker_metadata.topic_policies import GLOBAL_KEY
from metadata_tool.catalog import RestorePoint
from metadata_tool.errors import BrokerDenied, ClusterNameDiffers, ClusterRunning, SettingError
from metadata_tool.fetch import fetched
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.location import Location
from metadata_tool.pulsar.holds import OF_DATA
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.rules import Scope
from metadata_tool.put_back import limits
from metadata_tool.put_back.change_events import ChangeEvents
from metadata_tool.put_back.deleted_topics import deleted_topics
from metadata_tool.put_back.ensemble import Holder, RestoredEnsemble
from metadata_tool.put_back.holds import Holds, finish
from metadata_tool.put_back.job import PutBackJob
from metadata_tool.put_back.namespaces import NamespaceSchemas, SchemaWork
from metadata_tool.put_back.policies import NamespacePolicies
from metadata_tool.put_back.registry import Registry, topic_name, topic_path
from metadata_tool.put_back.result import NAMESPACES, SCHEMAS, PutBackResult
from metadata_tool.put_back.saved_metadata import SavedMetadata, SavedNamespace, policies_topic, saved_metadata
from metadata_tool.restore_marker import Marker
from metadata_tool.store import Store
from metadata_tool.workspace import workspace
from metadata_tool.zookeeper.net import session
from metadata_tool.zookeeper_faults import FOR_PUT_BACK, explained

log = logging.getLogger(__name__)

_SCOPE = "RESTORE_SCOPE"
_ANOTHER = "Set ZOOKEEPER_SERVERS to the restored ensemble. Nothing was changed"


def put_back(job: PutBackJob, open_store: Callable[[Location], Store], heartbeat: Heartbeat) -> PutBackResult:
    """Put back what the brokers do not have, and report it. What is there already is left as it is.

    It can be stopped and killed at any moment, and run again.

    Raises:
        ClusterRunning: the ensemble was not restored from this backup, or the brokers are not its own.
        ClusterNameDiffers: the brokers are those of another cluster.
        PutBackRunning: another put-back runs.
        ToolError: ZooKeeper, the brokers or the store cannot be used.
    """
    with (
        explained(FOR_PUT_BACK),
        workspace(job.spool_dir) as directory,
        session.connect(job.ensemble, heartbeat) as connected,
    ):
        ensemble = RestoredEnsemble(connected, job.chroot)
        marker = _marker(job, ensemble)
        point = _restored_point(job, marker)
        result = PutBackResult(str(point), job.dry_run)
        if marker.settings.get(_SCOPE) == Scope.BOOKIES_KEPT:
            why = "the bookies were kept, and still have schemas and topic policies, so nothing is put back"
            log.info("%s", why)
            result.note(NAMESPACES, f"{_SCOPE}={Scope.BOOKIES_KEPT}", why)
            return result
        with ensemble.kept_alive():
            with fetched(point, open_store(point.location), job.spool_dir, heartbeat) as path:
                saved = saved_metadata(point, path, job.chroot, directory, heartbeat)
                layout = Layout(job.chroot, saved.managed_ledger_path)
                deleted = deleted_topics(saved.topic_paths(), path, layout, ensemble.existing, heartbeat)
            work = _Work(job, saved, ensemble, _brokers(job, ensemble), _to_replace(job, saved), deleted, result)
            work.run(heartbeat)
    return result


def _brokers(job: PutBackJob, ensemble: RestoredEnsemble) -> Asks:
    """A client of the brokers. The token is sent to those that ZooKeeper names, too."""
    hosts = [name.rpartition(":")[0] for name in ensemble.brokers()]
    return Paced(BrokerClient(job.access, hosts, connections=job.requests), job.rate)


@dataclass(frozen=True)
class _Work:
    """What is done while no other put-back runs."""

    job: PutBackJob
    saved: SavedMetadata
    ensemble: RestoredEnsemble
    brokers: Asks
    replace: frozenset[str]
    deleted: Mapping[str, frozenset[str]]
    """Topics (paths below `/schemas`) that were deleted since the restore, by namespace."""
    result: PutBackResult

    def run(self, heartbeat: Heartbeat) -> None:
        """Put back namespace by namespace, schemas first: policies of topics may demand strategies that refuse them."""
        self.result.not_saved.update(self.saved.not_saved)
        if not self.saved.namespaces:
            log.info("the backup has neither schemas nor topic policies, so brokers are not asked")
            return
        registry = Registry(self.brokers, self.ensemble)
        _require_own_cluster(registry, self.ensemble)
        _require_own_brokers(registry, self.ensemble, list(self.saved.namespaces), heartbeat)
        if not self.job.dry_run:
            self.ensemble.lock(Holder.own(), heartbeat)
        log.info("putting back the schemas of %d topics, and topic policies", self.saved.topics)
        holds = Holds(self.ensemble)
        work = SchemaWork(self.job.requests, self.replace)
        schemas = NamespaceSchemas(registry, holds, work, self.result, heartbeat)
        events = ChangeEvents(self.job.access, self.brokers, self._existing, heartbeat)
        policies = NamespacePolicies(events, lambda name: registry.topic_strategy(topic_path(name)), self.result)
        back = {
            namespace.name: self._put_back(namespace, schemas, policies) for namespace in self.saved.namespaces.values()
        }
        if self.result.policies["sent"] and not self.result.dry_run and heartbeat.sleep(limits.APPLIED_AFTER):
            heartbeat()
        for name, complete in back.items():
            finish(holds, name, OF_DATA.values(), self.result, complete=complete)

    def _put_back(self, namespace: SavedNamespace, schemas: NamespaceSchemas, policies: NamespacePolicies) -> bool:
        """Put back a namespace, and let clients register schemas. Whether all topic policies are there in the end."""
        if self.ensemble.settings(namespace.name) is None:
            self.result.namespaces["deleted"] += 1
            self.result.note(NAMESPACES, namespace.name, "it does not exist, so nothing of it is put back")
            return False
        gone = self.deleted.get(namespace.name, frozenset())
        for name in sorted(map(topic_name, gone)):
            self.result.note(SCHEMAS, name, "it was deleted since the restore, so nothing of it is put back")
        topics = self._remaining(self.saved.schemas(namespace), gone)
        every = self.saved.policies(namespace)
        records = [record for record in every if policies_topic(record) not in gone]
        self.result.policies["deleted"] += len(every) - len(records)
        unfinished, complete, accepting = False, True, set[str]()
        if namespace.topics:
            unfinished = schemas.is_unfinished(namespace)
            keys = {record.key.removeprefix(GLOBAL_KEY) for record in records}
            complete = schemas.put_back(namespace, topics, keys)
            accepting = schemas.accepting
        there = True
        if records:
            definitions = self.saved.policy_schemas(namespace)
            there = policies.put_back(namespace.name, records, definitions, accepting, unfinished=unfinished)
        if namespace.topics:
            schemas.finish(namespace, complete=complete and there)
        return there

    def _remaining(self, topics: Iterable[SavedSchemas], gone: frozenset[str]) -> Iterator[SavedSchemas]:
        for topic in topics:
            if topic.topic in gone:
                self.result.schemas["deleted"] += 1
            else:
                yield topic

    def _existing(self, topics: list[str]) -> list[str]:
        """Those of these topics, as paths of their managed ledgers, that exist."""
        start = f"{self.saved.managed_ledger_path}/"
        return [path.removeprefix(start) for path in self.ensemble.existing([start + topic for topic in topics])]


def _marker(job: PutBackJob, ensemble: RestoredEnsemble) -> Marker:
    """The restore that the ensemble is from."""
    if marker := ensemble.marker():
        return marker
    raise ClusterRunning(
        f"the ensemble at {job.ensemble.servers} did not come from a restore, so nothing is put back", _ANOTHER
    )


def _restored_point(job: PutBackJob, marker: Marker) -> RestorePoint:
    """The backup that the ensemble was restored from, in the folder that the operator names if it is another one."""
    try:
        restored = RestorePoint.parse(marker.point)
    except ValueError as error:
        raise ClusterRunning(
            f"the ensemble at {job.ensemble.servers} was restored from {marker.point!a}, which is not the address of a "
            "backup",
            _ANOTHER,
        ) from error
    if job.point and job.point.name.sound != restored.name.sound:
        raise ClusterRunning(
            f"the ensemble at {job.ensemble.servers} was restored from {restored}, and not from {job.point}",
            "Leave out the address, so that put-back takes the backup that the ensemble was restored from. "
            "Nothing was changed",
        )
    return job.point or restored


def _to_replace(job: PutBackJob, saved: SavedMetadata) -> frozenset[str]:
    """The paths of the topics whose schemas may be replaced."""
    if not job.replace:
        return frozenset()
    every = (topic.topic for namespace in saved.namespaces.values() for topic in saved.schemas(namespace))
    found = {topic_name(path): path for path in every}
    for name in job.replace:
        if name not in found:
            raise SettingError(
                f"the backup has no schemas of {name!a}, which --replace-schemas names",
                "Name it as the report does, such as persistent://tenant/namespace/topic. Nothing was changed",
            )
    return frozenset(found[name] for name in job.replace)


def _require_own_cluster(registry: Registry, ensemble: RestoredEnsemble) -> None:
    """Refuse brokers of a cluster with another name."""
    known, own = registry.clusters(), ensemble.clusters()
    if known != own:
        raise ClusterNameDiffers(
            f"the brokers know the clusters {_listed(known)}, and this ZooKeeper {_listed(own)}",
            "Set BROKER_SERVICE_URL to the brokers of the restored cluster. Nothing was changed",
        )


def _require_own_brokers(
    registry: Registry, ensemble: RestoredEnsemble, namespaces: list[str], heartbeat: Heartbeat
) -> None:
    """Refuse brokers that are not registered in this ZooKeeper. Waits a moment for a broker that is starting."""
    for again in range(limits.TRIES):
        if again and heartbeat.sleep(limits.TRY_PAUSE):
            heartbeat()
        registered = ensemble.brokers()
        try:
            answering = registry.brokers()
            own = bool(answering) and answering <= registered
        except BrokerDenied as error:  # only a superuser may list brokers
            answering = _owner(registry, namespaces, error)
            own = not answering.isdisjoint(registered)  # a broker has one name, and may have two addresses
        if own:
            return
    raise ClusterRunning(
        f"the brokers are {_listed(answering)}, and this ZooKeeper has {_listed(registered)}",
        "Set BROKER_SERVICE_URL to the brokers of the restored cluster. Nothing was changed",
    )


def _owner(registry: Registry, namespaces: list[str], denied: BrokerDenied) -> frozenset[str]:
    """The addresses of a broker that owns a topic. Every administrator of its tenant may ask for them."""
    for namespace in namespaces[: limits.OWNERS_LOOKED_UP]:
        with suppress(BrokerDenied):
            if found := registry.owner(f"{namespace}/{CHANGE_EVENTS}"):
                return found
    raise denied


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
