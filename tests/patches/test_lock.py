"""One run a folder: held, left, dead, standing still."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time

import pytest

from napari_histoaug.patches import PatchError
from napari_histoaug.patches.lock import RunLock


def write_lock(folder, host, pid, age=0.0):
    path = folder / "run.lock"
    path.write_text(json.dumps({"host": host, "pid": pid, "token": "other"}))
    then = time.time() - age
    os.utime(path, (then, then))
    return path


def dead_process():
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def test_a_second_run_is_refused_and_a_later_one_is_not(tmp_path):
    with (
        RunLock(tmp_path),
        pytest.raises(PatchError, match=f"process {os.getpid()}"),
        RunLock(tmp_path),
    ):
        pass
    with RunLock(tmp_path):
        pass
    assert not (tmp_path / "run.lock").exists()


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path):
    write_lock(tmp_path, socket.gethostname(), dead_process())
    with RunLock(tmp_path):
        assert json.loads((tmp_path / "run.lock").read_text())["pid"] == os.getpid()


def test_another_machine_is_believed_as_long_as_it_gives_signs_of_life(tmp_path):
    write_lock(tmp_path, "elsewhere", 1, age=60)
    with pytest.raises(PatchError, match="on elsewhere"), RunLock(tmp_path):
        pass
    write_lock(tmp_path, "elsewhere", 1, age=300)
    with RunLock(tmp_path):
        pass


def test_a_lock_that_was_never_filled_in_counts_as_dead_after_a_while(tmp_path):
    (tmp_path / "run.lock").touch()
    with pytest.raises(PatchError), RunLock(tmp_path):
        pass
    os.utime(tmp_path / "run.lock", (1, 1))
    with RunLock(tmp_path):
        pass


def test_a_holder_touches_its_lock_and_notices_when_it_was_taken(tmp_path):
    with RunLock(tmp_path, heartbeat=0.02) as lock:
        path = tmp_path / "run.lock"
        os.utime(path, (1, 1))
        deadline = time.monotonic() + 20
        while path.stat().st_mtime < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert path.stat().st_mtime > 2
        lock.check()
        write_lock(tmp_path, "elsewhere", 1)
        while not lock.lost and time.monotonic() < deadline:
            time.sleep(0.01)
        with pytest.raises(PatchError, match="stood still"):
            lock.check()
    assert path.exists()  # it is the other's now
