"""Runs inside a unit with the rights of a worker's: writes as JSON what it can reach. See unit_trials.py."""

import json
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path

# The module of the 'signal' driver, which is beside this file.
processes = import_module("processes")
PID, PORT = int(sys.argv[1]), int(sys.argv[2])


def send(number: int) -> str:
    try:
        with processes.open_process(PID) as process:
            if processes.is_hidden(PID):
                return "hidden"
            signal.pidfd_send_signal(process, number)
    except OSError as error:
        return type(error).__name__
    return "sent"


def write() -> str:
    try:
        Path("/srv/shop/written").write_text("")
    except OSError as error:
        return type(error).__name__
    return "written"


def change_network() -> str:
    command = ["/usr/sbin/ip", "link", "set", "lo", "mtu", "1400"]
    return "refused" if subprocess.run(command, capture_output=True, check=False).returncode else "changed"


found = {
    "signal": send(signal.SIGSTOP),
    "port": PID in processes.find_listeners(PORT),
    "files": write(),
    "network": change_network(),
}
sys.stdout.write(json.dumps(found))
