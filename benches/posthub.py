"""Starts and ends `stacks/posthub` for the benches, under Mainstay and under Docker Compose.

Knows how each is called and nothing about what is measured. Every run has its own state directory, and everything
that was started is ended again.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
STACK = REPOSITORY / "stacks" / "posthub"
FILES = ["--env-file", ".env.test", "-f", "compose.yaml", "-f", "compose.test.yaml"]
CACHE = Path(os.environ.get("MAINSTAY_TEST_CACHE", "/var/cache/mainstay-test"))
RUN = Path(os.environ.get("MAINSTAY_TEST_RUN", "/run/mainstay-test"))


def parser(text):
    """Options that every bench has."""
    options = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--engine", default="debian", help="debian (20.10) or newest, as testkit/env/engine names them")
    options.add_argument("--docker-host", default=None, help="any other Engine")
    options.add_argument("--mainstay", default=None, help="the binary [default: target/release, else it is built]")
    options.add_argument("--port", type=int, default=18080, help="where the edge serves")
    return options


def binary(given):
    """The binary as given, or the release one."""
    path = Path(given).resolve() if given else REPOSITORY / "target" / "release" / "mainstay"
    if not path.exists():
        subprocess.run(["cargo", "build", "--release", "-p", "mainstay"], cwd=REPOSITORY, check=True)
    return path


class Bench:
    def __init__(self, options):
        self.docker_host = options.docker_host or f"unix://{RUN}/{options.engine}/docker.sock"
        self.binary = binary(options.mainstay)
        compose = CACHE / "bin" / "docker-compose"
        self.compose_program = str(compose) if compose.exists() else shutil.which("docker-compose")
        self.port = options.port
        self.state = Path(tempfile.mkdtemp(prefix="mainstay-bench-"))
        self.log = open(self.state / "output.log", "w+")
        self.agent = None

    def environment(self, **more):
        return {**os.environ, "DOCKER_HOST": self.docker_host, **more}

    def run(self, command, **environment):
        """Runs a command to its end; its output is shown where it fails."""
        start = self.log.tell()
        ended = subprocess.run(
            [str(word) for word in command], cwd=STACK, env=self.environment(**environment),
            stdout=self.log, stderr=subprocess.STDOUT, check=False,
        )
        self.log.seek(0, os.SEEK_END)
        if ended.returncode:
            self.log.seek(start)
            sys.exit(f"{command} ended with {ended.returncode}\n{self.log.read()}")

    def mainstay(self, *words, **environment):
        self.run([self.binary, "--state-dir", self.state / "state", *FILES, *words], **environment)

    def compose(self, *words, migrate=True, **environment):
        files = FILES + (["-f", "compose.migrate.yaml"] if migrate else [])
        self.run([self.compose_program, *files, *words], **environment)

    def start_agent(self):
        self.agent = subprocess.Popen(
            [self.binary, "--state-dir", self.state / "state", "agent", "--http", f"127.0.0.1:{self.port}"],
            cwd="/", env=self.environment(), stdout=open(self.state / "agent.log", "w"), stderr=subprocess.STDOUT,
        )
        socket = self.state / "state" / "agent.sock"
        for _ in range(500):
            if socket.exists():
                return
            time.sleep(0.01)
        sys.exit("the agent did not start")

    def edge_pid(self):
        """The edge is a child of the agent that started it."""
        children = Path(f"/proc/{self.agent.pid}/task/{self.agent.pid}/children").read_text().split()
        pids = [int(pid) for task in Path(f"/proc/{self.agent.pid}/task").iterdir()
                for pid in (task / "children").read_text().split()] or [int(pid) for pid in children]
        for pid in pids:
            if b"\0edge\0" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        sys.exit("there is no edge")

    def end_agent(self):
        """Ends agent and edge; the stack must be down."""
        if not self.agent:
            return
        edge = self.edge_pid()
        self.agent.send_signal(signal.SIGTERM)
        self.agent.wait(30)
        os.kill(edge, signal.SIGTERM)
        self.agent = None
        shutil.rmtree(self.state / "state", ignore_errors=True)

    def clean(self):
        """Nothing of the stack is left, whoever made it."""
        self.compose("down", "-v", "--remove-orphans", "--timeout", "10")

    def close(self):
        if self.agent:
            self.mainstay("down", "-v")
            self.end_agent()
        self.log.close()
        shutil.rmtree(self.state, ignore_errors=True)


def load_average():
    return Path("/proc/loadavg").read_text().split()[0]


def machine():
    """One line about where this was measured."""
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    return f"{os.cpu_count()} cores ({model}), Linux {os.uname().release}"


def answer(url, timeout=5):
    """Status and headers of a GET; a refused connection is status 0."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as response:
            return response.status, response.headers
    except urllib.error.HTTPError as error:
        return error.code, error.headers
    except OSError:
        return 0, {}


def print_json(value):
    print(json.dumps(value, indent=2))
