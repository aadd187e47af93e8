"""Broken twins of our gunicorn worker, for the controls of its tests: `--worker-class tests.support.workers.…`."""

from typing import Any

from voucher_project import web_connections, web_lanes, web_worker


class OneLaneWorker(web_worker.BufferingThreadWorker):
    """Serves all requests in the fast lane."""

    def enqueue_req(self, conn: Any) -> None:
        self.fast_lane.add(conn)


class PatientWorker(web_worker.BufferingThreadWorker):
    """Lets requests of the fast lane wait, however long the one before them takes."""

    def init_process(self) -> None:
        web_lanes.OVERDUE_SECONDS = 3600  # type: ignore[misc]
        super().init_process()


class OneLanePatientWorker(OneLaneWorker, PatientWorker):
    """Serves one request at a time."""


class GreedyWorker(web_worker.BufferingThreadWorker):
    """Takes each connection that it can get."""

    def init_process(self) -> None:
        web_connections.SLACK = 1000  # type: ignore[misc]
        super().init_process()


class CourteousWorker(web_worker.BufferingThreadWorker):
    """Leaves a new connection to the others for so long that one gets to it on a busy machine too."""

    def init_process(self) -> None:
        web_worker.YIELD_SECONDS = 0.3  # type: ignore[misc]
        super().init_process()
