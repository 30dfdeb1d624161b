"""Runs the service under gunicorn: one worker process with the admin port and the backup loop."""

import logging
import os
import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from types import FrameType
from typing import Any

from flask import Flask
from gunicorn import glogging
from gunicorn.app.base import BaseApplication

from metadata_tool import backup, limits
from metadata_tool.admin_port.worker import AdminWorker, SingleWorkerArbiter, ignore_signals
from metadata_tool.backup import BackupResult
from metadata_tool.backup_heartbeat import BackupHeartbeat, each_of
from metadata_tool.catalog import Backup, backups
from metadata_tool.copies.catch_up import CatchUp
from metadata_tool.copies.copier import Copier
from metadata_tool.copies.places import Copiers
from metadata_tool.drill.records import RecordReader
from metadata_tool.drill.watch import DrillWatch
from metadata_tool.encryption.open import open_keyed
from metadata_tool.history import History
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.metrics import Metrics
from metadata_tool.ports import listen
from metadata_tool.progress import Progress
from metadata_tool.prune_plan import Planner
from metadata_tool.pruner import Pruner
from metadata_tool.pruning import PruneCounts, Pruning
from metadata_tool.scrub_process import ScrubProcess
from metadata_tool.scrub_schedule import ScrubSchedule
from metadata_tool.scrubber import Scrubber
from metadata_tool.service import Service
from metadata_tool.settings import ServeSettings
from metadata_tool.store import Store
from metadata_tool.web import create_app
from metadata_tool.workspace import scratch, workspace
from metadata_tool.zookeeper.capture.acl_cache import AclCache
from metadata_tool.zookeeper.capture.captured import captured

log = logging.getLogger(__name__)


def serve(settings: ServeSettings) -> None:
    """Serve until SIGTERM or SIGINT. This does not return: gunicorn ends the process.

    Raises:
        PortUnavailable: the admin port cannot be bound.
        SettingError: boto3's own settings are wrong.
        SpoolFailed: the spool directory cannot be used.
    """
    ignore_signals()
    with workspace(settings.job.spool_dir):
        pass  # an unusable spool directory is reported now, not with the first backup
    kept = settings.store
    store = open_keyed(kept)
    listener = listen(settings.port, "WEB_SERVER_PORT")
    log.info(
        "serving the admin port %d, and backing up %s to %s every %d s",
        settings.port,
        settings.job.source.ensemble.servers,
        kept.location,
        settings.interval,
    )
    _Server(settings, store, listener).run()


class GunicornLog(glogging.Logger):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's lines in the program's log, in its form and from its level on."""

    def setup(self, cfg: Any) -> None:
        """Leave format, level and destination to `logs.configure`."""
        self.cfg = cfg
        self.error_log.propagate = self.access_log.propagate = True


class _Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn, configured only here: no file, no command line."""

    def __init__(self, settings: ServeSettings, store: Store, listener: socket.socket) -> None:
        self._settings = settings
        self._store = store
        self._listener = listener
        self._service: Service | None = None
        self._scrubber: Scrubber | None = None
        self._copiers = Copiers()
        self._kept = ExitStack()
        """What is kept from one backup to the next."""
        super().__init__()

    def load_config(self) -> None:
        options: dict[str, Any] = {
            "bind": f"fd://{self._listener.detach()}",
            "workers": 1,
            "worker_class": AdminWorker,
            "timeout": 0,  # /healthz watches the loop, and a slow listing of S3 must not kill a backup
            "graceful_timeout": limits.SHUTDOWN,
            "worker_tmp_dir": str(self._settings.job.spool_dir),
            "control_socket_disable": True,
            "logger_class": GunicornLog,
            "proc_name": "metadata-tool",
            "post_worker_init": self._begin,
            "worker_exit": self._end,
        }
        for key, value in options.items():
            self.cfg.set(key, value)

    def run(self) -> None:
        SingleWorkerArbiter(self).run()

    def load(self) -> Flask:
        settings = self._settings
        history = History()

        def existing() -> list[Backup]:
            return history.genuine(self._store, backups(self._store, settings.job.prefix))

        metrics = Metrics()
        known = AclCache(self._kept.enter_context(scratch(settings.job.spool_dir)))
        self._scrubber = self._make_scrubber(metrics)
        self._copiers = self._make_copiers(metrics)
        offer = self._scrubber.offer if self._scrubber else None
        kept = self._kept.enter_context(scratch(settings.job.spool_dir)) if settings.job.broker else None
        progress = Progress()
        back_up = partial(
            backup.run,
            settings.job,
            self._store,
            known=known,
            capture=partial(captured, walked=progress.at),
            history=history,
            offer=offer,
            kept=kept,
            progress=progress,
            copy=self._copiers.offer,
        )
        drills = DrillWatch(RecordReader(self._store, settings.job.prefix).newest, metrics)
        self._service = Service(
            back_up,
            existing,
            settings.interval,
            metrics,
            look_around=drills,
            afterwards=each_of(self._backup_heartbeat(metrics), self._pruning(metrics)),
            progress=progress,
        )
        return create_app(
            existing,
            metrics,
            self._service,
            self._scrubber,
            drills,
            token=settings.token,
            copies=self._copiers,
            encrypted=bool(settings.store.keys.recipients),
        )

    def _backup_heartbeat(self, metrics: Metrics) -> BackupHeartbeat | None:
        """What sends a request after each good backup. None without HEARTBEAT_URL."""
        url = self._settings.heartbeat_url
        return BackupHeartbeat(url, metrics) if url else None

    def _pruning(self, metrics: Metrics) -> Callable[[BackupResult, Heartbeat], None] | None:
        """What deletes old backups after each new one. None if no retention is set."""
        pruning = self._pruning_of(self._store, metrics)
        return pruning.after if pruning else None

    def _pruning_of(self, store: Store, counts: PruneCounts, place: str = "") -> Pruning | None:
        job, retention = self._settings.job, self._settings.retention
        if not retention:
            return None
        return Pruning(Planner(retention, store, job.prefix, job.spool_dir), Pruner(store), counts, place)

    def _make_copiers(self, metrics: Metrics) -> Copiers:
        """One for each other place. Old backups are deleted in each by what is in it."""
        made = []
        for copy in self._settings.copies:
            store, place, prefix = open_keyed(copy), str(copy.location), self._settings.job.prefix
            counts = metrics.copies_to(place)
            directory = self._kept.enter_context(scratch(self._settings.job.spool_dir))
            pruning = self._pruning_of(store, counts, place)
            prune = pruning.after_backup if pruning else None
            catch_up = CatchUp(self._store, store, prefix, directory, counts, self._settings.retention)
            made.append(Copier(store, prefix, directory, counts, catch_up, prune=prune))
        return Copiers(made)

    def _make_scrubber(self, metrics: Metrics) -> Scrubber | None:
        """None if scrubs are off."""
        settings, spool_dir = self._settings, self._settings.job.spool_dir
        if not settings.scrub:
            return None
        kept = self._kept.enter_context(scratch(spool_dir))
        scrub = ScrubProcess(settings.scrub, self._store.location, spool_dir, kept)
        return Scrubber(scrub, kept, ScrubSchedule(settings.scrub.interval, settings.interval / 2), metrics)

    def _begin(self, _worker: object) -> None:
        if self._scrubber:
            self._scrubber.start()
        self._copiers.start()
        if self._service:
            self._service.start()
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
                signal.signal(number, partial(self._stop, signal.getsignal(number)))

    def _stop(self, gunicorns: Any, number: int, frame: FrameType | None) -> None:
        """Stop backups, scrubs and copies at once, not only after the last request. Then let gunicorn stop."""
        if self._scrubber:
            self._scrubber.begin_stop()
        self._copiers.begin_stop()
        if self._service:
            self._service.begin_stop()
        gunicorns(number, frame)

    def _end(self, _arbiter: object, _worker: object) -> None:
        if self._service and not self._service.stop(limits.LAST_BACKUP):
            log.error("the running backup did not end in time, so an unfinished upload may be left in the bucket")
            os._exit(1)
        if self._scrubber and not self._scrubber.stop(limits.LAST_SCRUB):
            log.error("the running scrub did not end in time, so its files may be left in SPOOL_DIR")
            os._exit(1)
        if not self._copiers.stop(limits.LAST_COPY):
            log.error("a running copy did not end in time, so an unfinished upload may be left in its place")
            os._exit(1)
        self._kept.close()
