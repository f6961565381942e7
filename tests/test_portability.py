"""What Windows and macOS lack is no condition of any module."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
IMPORT_ALL = """
import builtins, importlib, os, pkgutil, signal, sys, warnings
import deepspeech2

warnings.simplefilter("ignore")

def modules():
    return [each.name for each in pkgutil.walk_packages(deepspeech2.__path__, "deepspeech2.")]

# once as it is, so that what others wrote is loaded
for name in modules():
    importlib.import_module(name)
for name in [name for name in sys.modules if name.startswith("deepspeech2.")]:
    del sys.modules[name]

LACKING = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "posix", "syslog"}
imported, opened = builtins.__import__, builtins.open

def importing(name, globals=None, *more, **named):
    importer = (globals or {}).get("__name__", "")
    if name in LACKING and importer.split(".")[0] == "deepspeech2":
        raise ModuleNotFoundError(f"{importer} imports {name}", name=name)
    return imported(name, globals, *more, **named)

def opening(file, *more, **named):
    caller = sys._getframe(1).f_globals.get("__name__", "")
    if str(file).startswith("/proc") and caller.split(".")[0] == "deepspeech2":
        raise FileNotFoundError(2, "there is no /proc", str(file))
    return opened(file, *more, **named)

builtins.__import__, builtins.open = importing, opening
for name in ("SIGUSR1", "SIGUSR2", "SIGHUP", "SIGALRM", "SIGQUIT", "SIGXFSZ", "SIGKILL"):
    delattr(signal, name)
for name in ("sched_getaffinity", "fork", "getuid", "geteuid", "getpgid", "killpg"):
    delattr(os, name)
count = 0
for name in modules():
    importlib.import_module(name)
    count += 1
from deepspeech2.hardware import cpus, processor
assert cpus() >= 1 and isinstance(processor(), str)
from deepspeech2.trainer.signals import GracefulStop
with GracefulStop() as stop:
    assert stop.signal is None
print("imported", count)
"""


def test_every_module_is_imported_without_what_posix_alone_has() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    package = ROOT / "src/deepspeech2"
    files = [path for path in package.rglob("*.py") if path != package / "__init__.py"]
    assert done.stdout.split()[-1] == str(len(files)), done.stdout
