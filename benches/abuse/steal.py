"""Time that was stolen from a core: by its host, or by a process that has nothing to do with what is measured.

A guest's core runs when its host lets it. The kernel's clock for profiles (`cpu-clock`) has an interrupt every half a millisecond
while a core is busy, be it inside a call into the kernel; where several are missing, the core did not run. Nothing is said of a core
that is idle, and what threads of the kernel do counts as done for those who are measured. Knows nothing about what that is.
"""

import bisect
import re
import signal
import subprocess
from pathlib import Path

NANOSECONDS = 500_000
# Seconds without an interrupt that are a stop: three are missing, for one may come late.
AT_LEAST = 4 * NANOSECONDS / 1e9


def process_of(task):
    """The process of a thread; none where it is the kernel's, which run no file, or there no more."""
    try:
        Path(f"/proc/{task}/exe").readlink()
        return int(re.search(r"Tgid:\s+(\d+)", Path(f"/proc/{task}/status").read_text())[1])
    except OSError:
        return None


class Steal:
    """Watches a core while it is entered; afterwards `within` may be asked. What these processes do there is not stolen; `file` is for
    notes."""

    def __init__(self, core, processes, file):
        self.file, self.processes = str(file), {None, *processes}
        tasks = [task.name for pid in processes for task in Path(f"/proc/{pid}/task").iterdir()]
        # Switches among them are the most, and all the same.
        stranger = " || ".join("(" + " && ".join(f"{side}_pid != {task}" for task in tasks) + ")" for side in ("prev", "next"))
        self.command = ["perf", "record", "-q", "-C", str(core), "-k", "CLOCK_MONOTONIC", "-o", self.file,
                        "-e", f"cpu-clock/period={NANOSECONDS}/", "-e", "sched:sched_switch", "--filter", stranger]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        self.process.wait()
        command = ["perf", "script", "-i", self.file, "-F", "time,event,trace", "--ns"]
        said = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout
        self.stolen, last, running, is_stranger = [], 0, "0", {}
        for line in said.splitlines():
            time, event = line.split(": ", 1)
            time = float(time)
            if running != "0" and (is_stranger[running] or time - last >= AT_LEAST):
                self.stolen.append((last, time))
            if switch := re.search(r" next_pid=(\d+) ", event):
                running = switch[1]
                if running not in is_stranger:
                    is_stranger[running] = process_of(running) not in self.processes
            last = time
        self.ends = [ended for _, ended in self.stolen]

    def within(self, begun, ended):
        """Seconds stolen between two times of the monotonic clock."""
        stolen = 0
        for place in range(bisect.bisect(self.ends, begun), len(self.stolen)):
            from_, to = self.stolen[place]
            if from_ >= ended:
                break
            stolen += min(to, ended) - max(from_, begun)
        return stolen
