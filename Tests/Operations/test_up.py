#!/usr/bin/python3
"""Tests `./crosspoint` as an operator uses it: start, supervision, repair, settings, stop. Real processes, from outside.

Usage: test_up.py [unittest's arguments], with CROSSPOINT_BIN_DIR naming the executables. Takes about a minute.
"""

import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Another version of the script can be tested, to see a test fail.
SCRIPT = os.environ.get("CROSSPOINT_SCRIPT", ROOT / "crosspoint")
SERVICES = ("auth", "obs-bridge", "stream-metrics", "radio-playout", "camera-events", "performance-monitor")


def start_time(pid):
    """When a process was started, in the system's ticks; None if there is none or only its remains."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def eventually(condition, what, seconds=60):
    """Waits until the condition is true, and returns what it returned."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.05)
    return result


def _hear_signals():
    """As in a terminal: what is started in the background may ignore them, and a shell cannot trap what it was told to ignore."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class Installation:
    """A home directory and the suite in it."""

    def __init__(self):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="xp-"))
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("CROSSPOINT_")}
        self.environment |= {"CROSSPOINT_HOME": str(self.home), "CROSSPOINT_BIN_DIR": os.environ["CROSSPOINT_BIN_DIR"],
                             "CROSSPOINT_PORT_BASE": "auto", "LLVM_PROFILE_FILE": "/dev/null"}

    def start(self, *arguments, **variables):
        """Starts a command in a session of its own, as in another terminal."""
        return subprocess.Popen(
            [SCRIPT, *arguments], env=self.environment | variables, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=_hear_signals)

    def run(self, *arguments, **variables):
        """Runs a command to its end: its exit status and what it printed."""
        process = self.start(*arguments, **variables)
        output, _ = process.communicate(timeout=120)
        return process.returncode, output

    def settings(self, text):
        (self.home / "settings").write_text(text)

    def key(self, name):
        return (self.home / name).read_text()

    def pid(self, name):
        if name == "postgres":
            return int((self.home / "postgres/data/postmaster.pid").read_text().split()[0])
        return int((self.home / "run" / f"{name}.pid").read_text().split()[0])

    def pids(self, *names):
        return {name: self.pid(name) for name in names or ("postgres", *SERVICES, "gateway")}

    def is_running(self, name):
        """Whether the process that was recorded last runs."""
        try:
            pid, since = (self.home / "run" / f"{name}.pid").read_text().split()
        except (OSError, ValueError):
            return False
        return start_time(pid) == since

    def running(self):
        """Names of everything that runs."""
        return {path.stem for path in (self.home / "run").glob("*.pid") if self.is_running(path.stem)}

    def kill(self, *names, number=signal.SIGKILL):
        """Sends the processes a signal, and returns their pids; after SIGKILL they are gone."""
        pids = self.pids(*names)
        for pid in pids.values():
            os.kill(pid, number)
        if number == signal.SIGKILL:
            for name, pid in pids.items():
                eventually(lambda pid=pid: start_time(pid) is None, f"{name} is gone")
        return pids

    def status(self):
        """The exit status of `status`, and its rows by process: (restarts, state)."""
        code, output = self.run("status")
        rows = re.findall(r"^(\S+) +(?:\d+|-) +(?:\d+|-) +(-|\d+ \([\d:]+\)) +(.*)$", output, re.MULTILINE)
        return code, {name: (0 if restarts == "-" else int(restarts.split()[0]), state) for name, restarts, state in rows}

    def await_ready(self):
        eventually(lambda: self.status()[0] == 0, "everything is ready again")

    def port(self, offset):
        return int((self.home / "run/suite").read_text().split()[0]) + offset

    def environment_of(self, name):
        """The environment that a process was started with."""
        variables = pathlib.Path(f"/proc/{self.pid(name)}/environ").read_bytes().decode().split("\0")
        return dict(variable.split("=", 1) for variable in variables if "=" in variable)

    def remove(self):
        self.run("down")
        shutil.rmtree(self.home)


class AstroClient:
    """A client for whose sake a gateway drains."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
        answer = self.socket.recv(4096)
        if not answer.startswith(b"HTTP/1.1 101"):
            raise AssertionError(f"no upgrade: {answer}")

    def close(self):
        self.socket.close()


def readiness(port):
    """The HTTP status of /readyz, 0 if nothing answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


class SupervisionAndRepair(unittest.TestCase):
    """One detached suite, which every test leaves as it found it."""

    @classmethod
    def setUpClass(cls):
        cls.suite = Installation()
        cls.addClassCleanup(cls.suite.remove)
        cls.suite.settings("# For a test\n\nPERFORMANCE_MONITOR_ENVIRONMENT=the studio \nGATEWAY_DRAIN_SECONDS=3\n"
                           "PERFORMANCE_MONITOR_INTERVAL=60\n")
        code, cls.output = cls.suite.run("up", "--detach", STREAM_METRICS_MEDIA_GRACE_SECONDS="17",
                                         PERFORMANCE_MONITOR_INTERVAL="45", DATABASE_URL="postgresql:///other")
        if code != 0:
            raise AssertionError(cls.output)

    def setUp(self):
        self.suite.await_ready()

    def assert_settings(self):
        monitor, streams = map(self.suite.environment_of, ("performance-monitor", "stream-metrics"))
        self.assertEqual(monitor["PERFORMANCE_MONITOR_ENVIRONMENT"], "the studio")
        self.assertEqual(monitor["PERFORMANCE_MONITOR_INTERVAL"], "45")
        self.assertEqual(streams["STREAM_METRICS_MEDIA_GRACE_SECONDS"], "17")

    def test_a_conflict_of_settings_and_an_ignored_one_are_reported(self):
        self.assertRegex(self.output, "PERFORMANCE_MONITOR_INTERVAL: '45' from the environment is used, not '60'")
        self.assertRegex(self.output, "DATABASE_URL in the environment is ignored")
        self.assert_settings()

    def test_killed_services_are_restarted_and_counted(self):
        names = (*SERVICES, "gateway")
        before, (_, rows) = self.suite.pids(*names), self.suite.status()
        counts = {name: rows[name][0] for name in names}
        self.suite.kill(*names)
        code, rows = self.suite.status()
        self.assertEqual(code, 1)
        eventually(lambda: "restarting in" in self.suite.status()[1]["auth"][1], "status says when auth is restarted")
        self.suite.await_ready()
        _, rows = self.suite.status()
        for name in names:
            self.assertNotEqual(self.suite.pid(name), before[name])
            self.assertEqual(rows[name][0], counts[name] + 1, name)
        self.assert_settings()

    def test_a_killed_postgres_is_restarted(self):
        before = self.suite.kill("postgres")["postgres"]
        eventually(lambda: self.suite.status()[1]["postgres"][1] != "ready", "status shows that Postgres has ended")
        self.suite.await_ready()
        self.assertNotEqual(self.suite.pid("postgres"), before)
        self.assertNotIn("Peer authentication failed", (self.suite.home / "postgres/postgres.log").read_text())

    def test_up_returns_when_postgres_is_back(self):
        self.suite.kill("postgres")
        code, output = self.suite.run("up", "--detach")
        self.assertEqual(code, 0, output)
        code, rows = self.suite.status()
        self.assertEqual(code, 0, rows)

    def test_up_fails_if_a_process_that_runs_is_not_ready(self):
        pid = self.suite.kill("camera-events", number=signal.SIGSTOP)["camera-events"]
        try:
            code, output = self.suite.run("up", "--detach", CROSSPOINT_START_TIMEOUT="1")
        finally:
            os.kill(pid, signal.SIGCONT)
        self.assertEqual(code, 1, output)
        self.assertIn("camera-events is not ready", output)
        self.assertEqual(self.suite.pid("camera-events"), pid)

    def test_an_interrupted_repair_stops_nothing(self):
        # Only the repair is to start anything.
        supervisor = self.suite.pid("supervisor")
        os.kill(supervisor, signal.SIGSTOP)
        slow = self.suite.kill("camera-events", number=signal.SIGSTOP)["camera-events"]
        others = self.suite.pids("postgres", "auth", "obs-bridge", "stream-metrics", "performance-monitor", "gateway")
        try:
            self.suite.kill("radio-playout")
            repair = self.suite.start("up", "--detach")
            eventually(lambda: self.suite.is_running("radio-playout"), "radio-playout is started")
            os.killpg(repair.pid, signal.SIGINT)
            output, _ = repair.communicate(timeout=30)
        finally:
            os.kill(slow, signal.SIGCONT)
            os.kill(supervisor, signal.SIGCONT)
        self.assertEqual(repair.returncode, 130, output)
        self.assertTrue(self.suite.is_running("radio-playout"), output)
        self.assertEqual(self.suite.pids(*others), others)
        self.assertLessEqual({*others, "camera-events"}, self.suite.running())

    def test_a_draining_gateway_is_awaited_and_replaced(self):
        others = self.suite.pids("postgres", "auth", "obs-bridge", "stream-metrics", "camera-events", "performance-monitor")
        client = AstroClient(self.suite.port(1))
        self.addCleanup(client.close)
        draining = self.suite.kill("gateway", number=signal.SIGTERM)["gateway"]
        eventually(lambda: readiness(self.suite.port(10)) == 503, "the gateway drains")
        self.suite.kill("radio-playout")
        code, output = self.suite.run("up", "--detach")
        self.assertEqual(code, 0, output)
        self.assertNotEqual(self.suite.pid("gateway"), draining)
        self.assertEqual(self.suite.status()[0], 0)
        self.assertEqual(self.suite.pids(*others), others)

    def test_a_bad_setting_of_one_service_leaves_the_others(self):
        key = self.suite.key("obs.key")
        (self.suite.home / "obs.key").write_text("not a key")
        try:
            self.suite.kill("obs-bridge", "radio-playout")
            code, output = self.suite.run("up", "--detach")
            self.assertEqual(code, 1, output)
            self.assertIn("obs-bridge.secrets.key.file", output)
            self.assertRegex(output, "not ready: obs-bridge\\.")
            self.assertEqual(self.suite.status()[1]["radio-playout"][1], "ready")
            eventually(lambda: re.search(r"ended \d+ time.*obs-bridge\.secrets\.key\.file", self.suite.status()[1]["obs-bridge"][1]),
                       "status says that obs-bridge keeps ending, and why")
            # A gateway that lacks only obs-bridge is not waited for.
            eventually(lambda: self.suite.status()[1]["gateway"][1] == "ready without bus.obs-bridge", "the gateway misses obs-bridge")
            self.assertEqual(readiness(self.suite.port(10)), 200)
            code, output = self.suite.run("up", "--detach")
            self.assertEqual(code, 1, output)
            self.assertRegex(output, "not ready: obs-bridge\\.")
        finally:
            (self.suite.home / "obs.key").write_text(key)
        code, output = self.suite.run("up", "--detach")
        self.assertEqual(code, 0, output)

    def test_settings_survive_a_repair(self):
        self.suite.kill("stream-metrics", "performance-monitor")
        code, output = self.suite.run("up", "--detach")
        self.assertEqual(code, 0, output)
        self.assert_settings()

    def test_a_repair_refuses_other_settings(self):
        before = self.suite.pids()
        code, output = self.suite.run("up", "--detach", STREAM_METRICS_MEDIA_GRACE_SECONDS="18")
        self.assertEqual(code, 1, output)
        self.assertRegex(output, "STREAM_METRICS_MEDIA_GRACE_SECONDS: '18' in the environment, '17' in the running suite")
        settings = self.suite.key("settings")
        self.suite.settings(settings.replace("GATEWAY_DRAIN_SECONDS=3\n", "CAMERA_EVENTS_DETECTIONS_RETENTION_DAYS=9\n"))
        code, output = self.suite.run("up", "--detach")
        self.suite.settings(settings)
        self.assertEqual(code, 1, output)
        self.assertRegex(output, "CAMERA_EVENTS_DETECTIONS_RETENTION_DAYS: '9' in the settings file, not set in the running suite")
        self.assertRegex(output, "GATEWAY_DRAIN_SECONDS: no longer in the settings file, '3' in the running suite")
        code, output = self.suite.run("up", "--detach", STREAM_METRICS_MEDIA_GRACE_SECONDS="17")
        self.assertEqual(code, 0, output)
        self.assertIn("Already running.", output)
        self.assertEqual(self.suite.pids(), before)

    def test_a_killed_supervisor_is_shown_and_started_by_up(self):
        self.suite.kill("supervisor")
        code, rows = self.suite.status()
        self.assertEqual(code, 1)
        self.assertIn("not running", rows["supervisor"][1])
        code, output = self.suite.run("up", "--detach")
        self.assertEqual(code, 0, output)
        before = self.suite.kill("camera-events")["camera-events"]
        self.suite.await_ready()
        self.assertNotEqual(self.suite.pid("camera-events"), before)

    def test_large_logs_are_rotated(self):
        logs = [self.suite.home / "logs/gateway.log", self.suite.home / "postgres/postgres.log"]
        for log in logs:
            with open(log, "a") as file:
                file.write("x" * 21_000_000 + "\n")
        for log in logs:
            eventually(lambda log=log: log.stat().st_size < 1_000_000, f"{log} is emptied")
            self.assertGreater(log.with_name(log.name + ".1").stat().st_size, 20_000_000)
        # What is written from now on is at the beginning.
        self.suite.kill("gateway", number=signal.SIGTERM)
        eventually(lambda: logs[0].stat().st_size > 0, "the gateway writes to its log")
        self.assertLess(logs[0].stat().st_size, 1_000_000)

    def test_logs_of_an_unknown_name_lists_the_names(self):
        code, output = self.suite.run("logs", "nosuch")
        self.assertEqual(code, 1)
        self.assertRegex(output, "no log of nosuch.* postgres auth obs-bridge .*gateway")

    def test_status_shows_the_ports_of_clients(self):
        base = self.suite.port(0)
        self.assertRegex(self.suite.run("status")[1], f"Clients \\(ws\\): Source Saver {base}, .*Airys {base + 4}")


class FirstStartAndDown(unittest.TestCase):
    def setUp(self):
        self.suite = Installation()
        self.addCleanup(self.suite.remove)

    def test_a_failed_start_leaves_nothing_and_down_stops_everything(self):
        (self.suite.home / "obs.key").write_text("not a key")
        code, output = self.suite.run("up", "--detach")
        self.assertEqual(code, 1, output)
        self.assertIn("obs-bridge.secrets.key.file", output)
        self.assertEqual(self.suite.running(), set())
        self.assertFalse((self.suite.home / "postgres/data/postmaster.pid").exists())

        (self.suite.home / "obs.key").unlink()
        code, output = self.suite.run("up", "--detach")
        self.assertEqual(code, 0, output)
        # Not at the very first start only, which may have failed.
        self.assertIn(f"{self.suite.home}/owner.password", output)
        self.assertIn(f"CROSSPOINT_HOME={self.suite.home} ./crosspoint token", output)
        before = self.suite.pids("supervisor", "postgres", *SERVICES, "gateway")

        # One that is about to be restarted.
        self.suite.kill("radio-playout")
        code, output = self.suite.run("down")
        self.assertEqual(code, 0, output)
        self.assertEqual([name for name, pid in before.items() if start_time(pid)], [])
        self.assertEqual(self.suite.running(), set())
        code, output = self.suite.run("status")
        self.assertEqual(code, 1)
        self.assertIn("./crosspoint up", output)


class Foreground(unittest.TestCase):
    """Two gateways behind HAProxy with TLS, watched by `up` itself."""

    def setUp(self):
        self.suite = Installation()
        self.addCleanup(self.suite.remove)
        certificate = self.suite.home / "edge.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost",
             "-keyout", certificate, "-out", self.suite.home / "certificate.pem"], check=True, capture_output=True)
        certificate.write_text(certificate.read_text() + self.suite.key("certificate.pem"))
        self.suite.settings(f"EDGE_TLS=ssl crt {certificate} alpn http/1.1\n")

    def test_it_restarts_what_ends_and_ctrl_c_stops_everything(self):
        names = ("postgres", *SERVICES, "gateway-1", "gateway-2", "haproxy")
        up = self.suite.start("up", "--gateways", "2")
        self.addCleanup(up.stdout.close)
        self.addCleanup(up.kill)
        printed = []

        def read_until(text):
            while not any(text in line for line in printed):
                line = up.stdout.readline()
                if not line:
                    raise AssertionError(f"`up` ended before '{text}': {''.join(printed)}")
                printed.append(line)

        read_until("Ctrl-C stops everything")
        port = self.suite.port(0)
        self.assertIn(f"new WebSocket('wss://127.0.0.1:{port}/", "".join(printed))
        self.assertIn("Clients (wss):", "".join(printed))
        for address in ["127.0.0.1"] + ["::1"] * ("0" * 31 + "1 " in pathlib.Path("/proc/net/if_inet6").read_text()):
            context = ssl._create_unverified_context()
            with socket.create_connection((address, port), timeout=10) as plain, context.wrap_socket(plain):
                pass

        self.suite.kill("haproxy", "postgres")
        read_until("postgres ended; restarting it")
        read_until("haproxy ended; restarting it")
        read_until("haproxy restarted")
        self.suite.await_ready()
        pids = self.suite.pids(*names)
        code, output = self.suite.run("up", "--detach")
        self.assertEqual(code, 0, output)
        self.assertIn("Already running.", output)
        self.assertEqual(self.suite.pids(*names), pids)

        os.killpg(up.pid, signal.SIGINT)
        up.stdout.read()
        self.assertEqual(up.wait(timeout=60), 130)
        self.assertEqual([name for name, pid in pids.items() if start_time(pid)], [])


class Refusals(unittest.TestCase):
    """What `up` refuses before it starts anything."""

    def setUp(self):
        self.suite = Installation()
        self.addCleanup(self.suite.remove)

    def assert_refused(self, code, pattern, *arguments, settings="", **variables):
        self.suite.settings(settings)
        answer = self.suite.run("up", "--detach", *arguments, **variables)
        self.assertEqual(answer[0], code, answer[1])
        self.assertRegex(answer[1], pattern)
        self.assertEqual(self.suite.running(), set())
        self.assertFalse((self.suite.home / "postgres").exists())

    def test_port_bases_out_of_range(self):
        for base in ("1023", "60001", "99999", "3000x"):
            self.assert_refused(2, "a port from 1024 to 60000", CROSSPOINT_PORT_BASE=base)

    def test_tls_where_it_has_no_effect(self):
        self.assert_refused(1, "GATEWAY_TLS_CERTIFICATE cannot be set with --gateways 2.*EDGE_TLS", "--gateways", "2",
                            GATEWAY_TLS_CERTIFICATE="/tmp/certificate.pem", GATEWAY_TLS_KEY="/tmp/key.pem")
        self.assert_refused(1, "EDGE_TLS is for HAProxy", EDGE_TLS="ssl crt /tmp/edge.pem")

    def test_errors_in_the_settings_file(self):
        self.assert_refused(1, "settings, line 2: there is no setting LOG_LEVLE", settings="# comment\nLOG_LEVLE=debug\n")
        self.assert_refused(1, "line 1: not of the form KEY=value", settings="LOG_LEVEL: debug\n")
        self.assert_refused(1, "line 2: LOG_LEVEL is set a second time", settings="LOG_LEVEL=debug\nLOG_LEVEL=info\n")
        self.assert_refused(1, "`up` decides DATABASE_URL itself", settings="DATABASE_URL=postgresql:///other\n")
        self.assert_refused(1, "there is no setting BUS_GATEWAY_PORT", settings="BUS_GATEWAY_PORT=1\n")
        # It is never run as a script.
        self.assert_refused(1, "not of the form", settings=f"touch {self.suite.home}/run-as-script\n")
        self.assertFalse((self.suite.home / "run-as-script").exists())

    def test_help_and_an_idle_home(self):
        for arguments in (("up", "--help"), ("token", "-h"), ("help",)):
            code, output = self.suite.run(*arguments)
            self.assertEqual(code, 0, output)
            self.assertIn("./crosspoint VERB", output)
        code, output = self.suite.run("status")
        self.assertEqual(code, 1)
        self.assertIn("./crosspoint up", output)


if __name__ == "__main__":
    unittest.main(verbosity=2)
