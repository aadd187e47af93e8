"""Metrics of several processes: each counts by itself, one answers for all, and none is forgotten as it ends."""

import os
import shutil
import signal
import time
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from django.test import tag
from prometheus_client.parser import text_string_to_metric_families

from apps.core.metrics import folder
from tests.support.cases import CommittingTestCase
from tests.support.server import Server

TOKEN = "metrics-token-0123456789-0123456789"


@tag("slow", "any-database")
class ProcessTests(CommittingTestCase):
    def get(self, path):
        caller = HTTPConnection("127.0.0.1", self.server.port, timeout=self.patience)
        caller.request("GET", path, headers={"Authorization": f"Bearer {TOKEN}"})
        response = caller.getresponse()
        body = response.read().decode()
        caller.close()
        self.assertEqual(response.status, 200, body)
        return body

    def requests_counted(self):
        return sum(
            sample.value
            for family in text_string_to_metric_families(self.get("/metrics"))
            for sample in family.samples
            if sample.name == "voucher_requests_total" and sample.labels["route"] == "/api/test/"
        )

    def processes(self):
        master = self.server._process.pid
        return Path(f"/proc/{master}/task/{master}/children").read_text().split()

    def folder(self):
        """Where the processes of the server count: its parent keeps a file in it open."""
        opened = Path(f"/proc/{self.server._process.pid}/fd").iterdir()
        names = [os.readlink(one) for one in opened]
        (alive,) = [name for name in names if folder.PREFIX in name and name.endswith(f"/{folder.ALIVE}")]
        return Path(alive).parent

    def test_all_processes_count_together_and_one_that_ends_is_not_forgotten(self):
        self.server = Server(METRICS_TOKEN=TOKEN, WEB_CONCURRENCY="2", RATE_LIMITS_ENABLED="False")
        self.addCleanup(self.server.kill)
        own = self.folder()
        for _ in range(40):
            self.get("/api/test/")
        self.assertEqual(self.requests_counted(), 40)
        first = self.processes()
        for pid in first:
            os.kill(int(pid), signal.SIGKILL)
        deadline = time.monotonic() + self.patience
        while not (own / f"counter_{folder.ENDED}.db").exists() or set(self.processes()) & set(first):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)
        self.assertEqual(self.requests_counted(), 40)
        self.get("/api/test/")
        self.assertEqual(self.requests_counted(), 41)
        counting = {file.name for file in own.glob("counter_*.db")}
        self.assertEqual(counting & {f"counter_{pid}.db" for pid in first}, set())
        self.server.stop(self.patience)
        self.assertFalse(own.exists())

    def test_what_can_not_be_kept_or_created_stops_no_server(self):
        with TemporaryDirectory() as name:
            Path(name, "counter_7.db").write_bytes(b"not what it should be")
            with self.assertLogs("apps.core.metrics.folder", "ERROR"):
                folder.add_ended(Path(name), 7)
        with (
            patch("tempfile.mkdtemp", side_effect=PermissionError(13, "Permission denied")),
            self.assertLogs("apps.core.metrics.folder", "ERROR"),
        ):
            self.assertIsNone(folder.create())
        folder.add_ended(None, 7)
        folder.remove(None)

    def test_what_is_amiss_with_its_files_ends_neither_the_server_nor_a_request(self):
        self.server = Server(METRICS_TOKEN=TOKEN, WEB_CONCURRENCY="1", RATE_LIMITS_ENABLED="False")
        self.addCleanup(self.server.kill)
        self.get("/api/test/")
        own = self.folder()

        def renew_process():
            (first,) = self.processes()
            os.kill(int(first), signal.SIGKILL)
            deadline = time.monotonic() + self.patience
            while self.processes() in ([], [first]):
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.1)

        (counting,) = own.glob("counter_*.db")
        counting.write_bytes(b"\xff\xff\xff\x7f")
        renew_process()
        self.get("/api/test/")
        self.get("/metrics")
        shutil.rmtree(own)
        renew_process()
        self.get("/api/test/")
        self.get("/metrics")

    def test_a_folder_whose_parent_was_killed_is_removed_by_the_next(self):
        self.server = Server(METRICS_TOKEN=TOKEN)
        self.addCleanup(self.server.kill)
        own = self.folder()
        old = time.time() - 120
        os.utime(own, (old, old))
        self.assertFalse(folder._is_abandoned(own))
        self.server.kill()
        deadline = time.monotonic() + self.patience
        while own.exists():  # or another server that begins just now was faster
            self.assertLess(time.monotonic(), deadline)
            with suppress(FileNotFoundError):
                os.utime(own, (old, old))
            self.server = Server(METRICS_TOKEN=TOKEN)
            self.addCleanup(self.server.kill)
            self.server.stop(self.patience)
