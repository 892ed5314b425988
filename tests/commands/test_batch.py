"""``python -m app batch``: a folder, a task, a file of answers; resumed after a break."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from app.__main__ import main
from app.cli.batch import child, progress
from app.cli.batch.output import Output
from app.cli.batch.progress import Tally, shown
from app.cli.batch.row import Row
from app.domain.model import Dialect
from tests.support.files.documents import FOUR_PAGES
from tests.support.files.pictures import ASTRONAUT, ROCKET
from tests.support.servers.uvicorn import serving
from tests.support.service.access import add_key, guarded
from tests.support.service.application import Rig
from tests.support.service.emulated import Service, running


@pytest.fixture
def service(emulator_url: str) -> Iterator[Service]:
    with running(emulator_url, "", Dialect.CHAT) as service:
        yield service


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    (root / "deeper").mkdir(parents=True)
    (root / "astronaut.png").write_bytes(ASTRONAUT)
    (root / "deeper" / "rocket.JPG").write_bytes(ROCKET)
    (root / "notes.txt").write_text("no picture")
    (root / ".hidden.png").write_bytes(ASTRONAUT)
    return root


def ran(folder: Path, out: Path, url: str, *more: str, task: str = "caption") -> int:
    return main(["batch", str(folder), "--task", task, "--out", str(out), "--url", url, *more])


def rows(out: Path) -> dict[str, Any]:
    found = [json.loads(line) for line in out.read_text().splitlines()]
    assert len({row["file"] for row in found}) == len(found), "a file has two rows"
    return {row["file"]: row for row in found}


def test_every_picture_has_a_row(service, folder, tmp_path, capsys):
    out = tmp_path / "captions.jsonl"
    assert ran(folder, out, service.url) == 0
    found = rows(out)
    assert found.keys() == {"astronaut.png", "deeper/rocket.JPG"}
    assert found["astronaut.png"]["result"]["caption"]
    assert found["astronaut.png"]["valid"] is True
    told = capsys.readouterr().out
    assert "2 files: 2 answered, 0 failed, 0 answered before, 1 other files left alone" in told


def test_pictures_answered_before_are_not_asked_again(service, folder, tmp_path, capsys):
    out = tmp_path / "captions.jsonl"
    assert ran(folder, out, service.url) == 0
    before = out.read_text()
    calls = len(service.seen())
    (folder / "new.png").write_bytes(ASTRONAUT)
    assert ran(folder, out, service.url) == 0
    assert out.read_text().startswith(before)
    assert rows(out).keys() == {"astronaut.png", "deeper/rocket.JPG", "new.png"}
    assert len(service.seen()) == calls + 1
    assert "1 answered, 0 failed, 2 answered before" in capsys.readouterr().out


def test_a_broken_line_and_failed_rows_are_asked_again(service, folder, tmp_path):
    out = tmp_path / "captions.jsonl"
    assert ran(folder, out, service.url) == 0
    first, second = out.read_text().splitlines()
    failed = json.dumps({**json.loads(first), "status": 503, "result": None})
    out.write_text(f"{failed}\n{second[: len(second) // 2]}")
    assert ran(folder, out, service.url) == 0
    assert {row["status"] for row in rows(out).values()} == {200}
    assert len(rows(out)) == 2


def test_a_file_that_is_not_a_picture_gets_a_row_with_its_error(service, folder, tmp_path, capsys):
    (folder / "broken.png").write_bytes(b"no picture at all")
    out = tmp_path / "captions.jsonl"
    assert ran(folder, out, service.url) == 1
    row = rows(out)["broken.png"]
    assert (row["status"], row["error"]["code"]) == (422, "not_an_image")
    assert "The same command sends the failed ones again." in capsys.readouterr().out


def test_a_table_has_a_column_for_each_part_of_the_result(service, folder, tmp_path):
    (folder / "broken.png").write_bytes(b"no picture at all")
    out = tmp_path / "captions.csv"
    assert ran(folder, out, service.url) == 1
    with out.open(encoding="utf-8-sig", newline="") as file:
        found = {row["file"]: row for row in csv.DictReader(file)}
    assert found["astronaut.png"]["caption"]
    assert found["broken.png"]["error"].startswith("not_an_image: ")
    calls = len(service.seen())
    assert ran(folder, out, service.url) == 1
    assert len(service.seen()) == calls, "the lines beside the table show what was answered"


def test_parameters_of_the_task_are_sent(service, folder, tmp_path):
    out = tmp_path / "answers.jsonl"
    question = ("--set", "question=What is the title?")
    assert ran(folder, out, service.url, *question, task="vqa") == 0
    assert rows(out)["astronaut.png"]["result"]


def test_documents_are_sent_where_the_task_accepts_them(folder, tmp_path):
    (folder / "letter.pdf").write_bytes(FOUR_PAGES)
    with serving(Rig().app()) as url:
        ran(folder, tmp_path / "captions.jsonl", url)
        ran(folder, tmp_path / "texts.jsonl", url, task="ocr")
    assert "letter.pdf" not in rows(tmp_path / "captions.jsonl")
    assert "letter.pdf" in rows(tmp_path / "texts.jsonl")


def test_temporary_failures_are_waited_out(emulator_url, folder, tmp_path, monkeypatch):
    # A long timeout for a slow machine: a request that times out is not repeated.
    options: dict[str, Any] = {"request_timeout": 3}
    monkeypatch.setattr("app.cli.batch.client.ATTEMPTS", 1)
    monkeypatch.setattr("app.cli.batch.client.LONGEST_WAIT", 0.5)
    with running(emulator_url, "loading-for-5s", Dialect.CHAT, **options) as service:
        assert ran(folder, tmp_path / "captions.jsonl", service.url) == 0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--task", "paint"), "the task 'paint' is not served; there are caption"),
        (("--task", "compare"), "takes several pictures"),
        (("--set", "question"), "is not NAME=VALUE"),
        (("--task", "vqa"), "the task 'vqa' needs --set question=…"),
    ],
)
def test_an_impossible_run_is_reported_and_writes_nothing(
    service, folder, tmp_path, capsys, more, said
):
    out = tmp_path / "out.jsonl"
    assert ran(folder, out, service.url, *more) == 1
    assert said in capsys.readouterr().err
    assert not out.exists()


def test_a_parameter_that_no_file_can_satisfy_ends_the_run(service, folder, tmp_path, capsys):
    assert ran(folder, tmp_path / "a.jsonl", service.url, "--set", "colour=red") == 1
    assert "colour: there is no such field" in capsys.readouterr().err


def test_the_address_may_be_the_base_url_of_openai_clients(service, folder, tmp_path):
    assert ran(folder, tmp_path / "a.jsonl", f"{service.url}/v1/") == 0


def test_file_names_with_any_bytes_have_rows(service, tmp_path):
    names = [b"a b.jpg", b"new\nline.jpg", b"=1+1.jpg", b"quote'\".jpg", b"latin-\xfc.jpg"]
    folder = tmp_path / "odd"
    folder.mkdir()
    for name in names:
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(ROCKET)
    out = tmp_path / "captions.jsonl"

    assert ran(folder, out, service.url) == 0
    answered = rows(out)
    assert len(answered) == 5
    assert "latin-\\xfc.jpg" in answered
    before = len(service.seen())
    assert ran(folder, out, service.url) == 0
    assert len(service.seen()) == before


def test_an_unreadable_folder_is_reported_and_the_others_are_processed(
    service, folder, tmp_path, capsys, monkeypatch
):
    walk = os.walk

    def closed(root: Path, onerror: Any) -> Iterator[Any]:
        onerror(PermissionError(13, "Permission denied", str(folder / "closed")))
        yield from walk(root)

    monkeypatch.setattr("app.cli.batch.folder.os.walk", closed)
    out = tmp_path / "captions.jsonl"

    assert ran(folder, out, service.url) == 1
    assert len(rows(out)) == 2
    assert "closed: Permission denied" in capsys.readouterr().err


def test_a_service_started_for_the_run_stops_with_it_however_it_ends():
    reading, writing = os.pipe()
    ended: list[bool] = []
    thread = child.follow(reading, lambda: ended.append(True))
    assert not ended
    os.close(writing)
    thread.join(20)
    os.close(reading)

    assert ended == [True]


def test_an_output_file_of_another_task_is_left_unchanged(service, folder, tmp_path, capsys):
    out = tmp_path / "captions.jsonl"
    assert ran(folder, out, service.url) == 0
    before = out.read_text()
    assert ran(folder, out, service.url, task="ocr") == 1
    assert "choose another --out" in capsys.readouterr().err
    out.write_text("someone's notes\n")
    assert ran(folder, out, service.url) == 1
    assert out.read_text() == "someone's notes\n"
    assert before


def test_a_key_is_sent_and_an_invalid_one_ends_the_run(folder, tmp_path, capsys):
    keys = tmp_path / "keys.json"
    key = add_key(keys)
    with serving(guarded(keys).app()) as url:
        assert ran(folder, tmp_path / "a.jsonl", url, "--key", "wrong") == 1
        assert "credentials_invalid" in capsys.readouterr().err
        ran(folder, tmp_path / "b.jsonl", url, "--key", key)
        assert rows(tmp_path / "b.jsonl").keys() == {"astronaut.png", "deeper/rocket.JPG"}


def test_an_unreachable_service_is_reported(folder, tmp_path, capsys):
    assert ran(folder, tmp_path / "a.jsonl", "http://127.0.0.1:9") == 1
    assert "can't be reached" in capsys.readouterr().err


def command(folder: Path, out: Path, *more: str) -> list[str]:
    return [
        *(sys.executable, "-m", "app", "batch", str(folder)),
        *("--task", "caption", "--out", str(out), *more),
    ]


def test_a_run_can_start_its_own_service_in_front_of_the_configured_upstream(
    emulator_url, folder, tmp_path
):
    out = tmp_path / "captions.jsonl"
    environment = {
        **os.environ,
        "LLAMA_VISION_ENDPOINT_URL": emulator_url,
        "LLAMA_VISION_REGION": "us-east-1",
        "LLAMA_VISION_MODEL_ID": "us.meta.llama3-2-11b-instruct-v1:0",
        "LLAMA_VISION_DATA_DIRECTORY": str(tmp_path / "data"),
        "LLAMA_VISION_USAGE_STORE": "memory",
        "AWS_ACCESS_KEY_ID": "emulator",
        "AWS_SECRET_ACCESS_KEY": "emulator",
    }
    ended = subprocess.run(
        command(folder, out), env=environment, capture_output=True, text=True, timeout=110
    )
    assert ended.returncode == 0, ended.stderr
    assert len(rows(out)) == 2


def test_after_ctrl_c_the_same_command_resumes(emulator_url, tmp_path):
    root = tmp_path / "photos"
    root.mkdir()
    for number in range(60):
        (root / f"{number:02}.png").write_bytes(ASTRONAUT)
    out = tmp_path / "captions.jsonl"
    with running(emulator_url, "first-token-300ms", Dialect.CHAT) as service:
        arguments = command(root, out, "--url", service.url, "--concurrency", "1")
        first = subprocess.Popen(
            arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        until = time.monotonic() + 90
        while not (out.exists() and out.read_text().count("\n") >= 2):
            assert time.monotonic() < until
            time.sleep(0.05)
        first.send_signal(signal.SIGINT)
        told, _ = first.communicate(timeout=60)
        assert first.returncode == 130
        assert "Interrupted: the same command continues where this one stopped." in told
        had = rows(out)
        assert 2 <= len(had) < 60
        assert main([*arguments[3:-2], "--concurrency", "4"]) == 0
        assert len(rows(out)) == 60
        # The request in progress at Ctrl-C was awaited, so none was repeated.
        assert len(service.seen()) == 60


def test_no_cell_of_a_table_can_be_a_formula(tmp_path):
    out = tmp_path / "answers.csv"
    output = Output(out, "vqa")
    output.open()
    cells = {"a": "=1", "b": "+1", "c": "-1+cmd|x", "d": "@x", "e": -1.5, "f": "a-b", "g": "- x"}
    output.write(Row("-x.png", "vqa", 200, cells))
    output.close()

    with out.open(encoding="utf-8-sig") as file:
        (row,) = csv.DictReader(file)
    assert [row[name] for name in "abcdefg"] == [
        *("'=1", "'+1", "'-1+cmd|x", "'@x", "-1.5", "a-b", "'- x")
    ]
    assert row["file"] == "'-x.png"


def test_a_progress_bar_shows_rows_failures_rate_time_and_cost():
    tally = Tally(4, resumed=1)
    screen = StringIO()
    with shown(tally, Console(file=screen, force_terminal=True, width=120)) as display:
        for row in (
            Row("a", "caption", 200, {}, cost_usd=0.25),
            Row("b", "caption", 422, error={"code": "x", "detail": "y"}),
        ):
            tally.add(row)
            display.update()
    told = screen.getvalue()
    for part in ("3/4", "1 failed", "rows/s", "left", "$0.2500"):
        assert part in told
    assert tally.left == 1


def test_without_a_terminal_progress_is_printed_line_by_line(monkeypatch):
    monkeypatch.setattr(progress, "EVERY", 0)
    tally = progress.Tally(2)
    screen = StringIO()
    with progress.shown(tally, Console(file=screen)) as display:
        tally.answered = 1
        tally.unpriced = 1
        display.update()
    assert "1 of 2 rows, 0 failed" in screen.getvalue()
    assert "cost unknown" in screen.getvalue()


def test_a_row_stays_one_line_under_unicode_line_splitting():
    line = Row(file="a\u2028b.png", task="caption", status=200).line()

    assert json.loads(line)["file"] == "a\u2028b.png"
    assert line.splitlines() == [line]
