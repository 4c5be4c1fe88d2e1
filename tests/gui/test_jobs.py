"""Jobs: off the main thread, heard on the main thread, cancelled, closed."""

from __future__ import annotations

import threading

import pytest

from napari_histoaug.errors import Cancelled, HistoaugError
from napari_histoaug.gui.jobs import INTERVAL, Job, JobCallbacks, Progress, StepClock


class Diary:
    """Callbacks that write down what they heard, and in which thread."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, object]] = []
        self.threads: set[threading.Thread] = set()
        self.callbacks = JobCallbacks(
            done=lambda value: self.note("done", value),
            failed=lambda error: self.note("failed", str(error)),
            cancelled=lambda: self.note("cancelled"),
            progress=lambda news: self.note("progress", news),
            phase=lambda text: self.note("phase", text),
            value=lambda value: self.note("value", value),
            ended=lambda: self.note("ended"),
        )

    def note(self, what: str, value: object = None) -> None:
        self.heard.append((what, value))
        self.threads.add(threading.current_thread())

    @property
    def words(self) -> list[str]:
        return [what for what, _ in self.heard]


@pytest.fixture
def diary() -> Diary:
    return Diary()


def wait_until_ended(qtbot, diary):
    qtbot.waitUntil(lambda: "ended" in diary.words, timeout=10_000)


def test_a_job_works_elsewhere_and_reports_here(qtbot, diary):
    worked_in = []

    def work(handle):
        worked_in.append(threading.current_thread())
        handle.say("loading")
        handle.show(7)
        handle.progress(3, 3)
        return "result"

    job = Job("test", work, diary.callbacks)
    job.start()
    wait_until_ended(qtbot, diary)
    assert worked_in[0] is not threading.main_thread()
    assert diary.threads == {threading.main_thread()}
    assert diary.words == ["phase", "value", "progress", "done", "ended"]
    assert diary.heard[3] == ("done", "result")


def test_a_sentence_arrives_as_such(qtbot, diary):
    def work(handle):
        raise HistoaugError("The folder x holds no model; choose another.")

    job = Job("test", work, diary.callbacks)
    job.start()
    wait_until_ended(qtbot, diary)
    assert diary.heard == [
        ("failed", "The folder x holds no model; choose another."),
        ("ended", None),
    ]


def test_cancel_stops_at_the_next_question(qtbot, diary):
    begun, go_on, asked = threading.Event(), threading.Event(), []

    def work(handle):
        begun.set()
        go_on.wait(20)
        asked.append(handle.cancelled())
        handle.check()
        return "not reached"

    job = Job("test", work, diary.callbacks)
    job.start()
    qtbot.waitUntil(begun.is_set, timeout=10_000)
    job.cancel()
    go_on.set()
    wait_until_ended(qtbot, diary)
    assert asked == [True]
    assert diary.words == ["cancelled", "ended"]


def test_closing_waits_for_the_thread_and_silences_it(qtbot, diary):
    begun, stopped = threading.Event(), threading.Event()

    def work(handle):
        begun.set()
        while not handle.cancelled():
            handle.show("noise")
        stopped.set()
        raise Cancelled("Cancelled.")

    job = Job("test", work, diary.callbacks)
    job.start()
    qtbot.waitUntil(begun.is_set, timeout=10_000)
    before = list(diary.heard)
    job.close()
    assert stopped.is_set()
    qtbot.wait(50)
    assert diary.heard == before


def test_closing_a_job_whose_thread_has_not_begun_does_not_hang(qtbot, diary):
    called = []
    job = Job("test", lambda handle: called.append(1), diary.callbacks)
    job.close()
    job.start()
    qtbot.wait(100)
    assert called == []
    assert diary.heard == []


def test_progress_is_told_seldom_but_never_misses_the_end():
    now = [0.0]
    clock = StepClock(lambda: now[0])
    shown = []
    for step in range(1, 101):
        now[0] = step * 0.02
        news = clock.tick(step, 100)
        if news is not None:
            shown.append(news.done)
    # 2 seconds: one each interval, the first and the last
    assert shown[0] == 1
    assert shown[-1] == 100
    assert len(shown) == 2 / INTERVAL + 1


def test_progress_reads_as_agreed():
    assert Progress(12, 20, 0.3).text == "step 12/20, 0.3 s a step, 2 s left"
    assert Progress(10, 2410, 0.9).text == "step 10/2410, 0.9 s a step, 36 min left"
    assert Progress(3, 9, 2.0, "tile").text == "tile 3/9, 2.0 s a tile, 12 s left"
    assert Progress(1, 20, 0.02).text == "step 1/20, 0.02 s a step, 0 s left"


def test_the_pace_is_the_mean_since_the_restart():
    now = [0.0]
    clock = StepClock(lambda: now[0])
    now[0] = 30.0
    clock.restart()
    now[0] = 32.0
    news = clock.tick(4, 20)
    assert news is not None
    assert news.seconds == pytest.approx(0.5)
