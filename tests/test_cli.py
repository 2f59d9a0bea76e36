"""The labs command: help, clear errors, and what each command does."""

import json
import os
import socket

import nbformat
import pytest
from typer.testing import CliRunner

from labs_support import (
    build,
    checks,
    claims,
    cli,
    doctor,
    lab,
    report,
    settings,
    shelf,
)
from labs_support.world import store

runner = CliRunner()
COMMANDS = (
    "doctor",
    "lab",
    "run",
    "build",
    "progress",
    "claims",
    "rebuild",
    "evaluate",
    "fetch",
)


def call(*arguments):
    """Return exit status and output of one labs call."""
    result = runner.invoke(cli.app, list(arguments))
    crashed = result.exception and not isinstance(result.exception, SystemExit)
    assert not crashed, result.exception
    return result.exit_code, result.output


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("LABS_HOME", str(tmp_path / "home"))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command):
    status, text = call(command, "--help")
    assert status == 0 and "Usage" in text


def test_without_a_command_the_help_is_shown():
    _, text = call()
    assert all(command in text for command in COMMANDS)


@pytest.mark.parametrize("command", ["lab", "run", "build", "claims"])
def test_unknown_lesson_is_one_sentence(command):
    status, text = call(command, "77")
    assert status == 1
    assert "there is no lesson '77'; there are 00_start_here" in text


def test_run_wants_to_know_what():
    status, text = call("run")
    assert status == 1 and "labs run 02, or labs run --all" in text


def test_rebuild_of_unknown_data_is_one_sentence():
    status, text = call("rebuild", "prices")
    assert status == 1 and "'prices' is not generated" in text


def test_fetch_in_the_tiny_profile_says_there_is_nothing_to_do(monkeypatch):
    monkeypatch.delenv("LABS_PROFILE", raising=False)
    status, text = call("fetch")
    assert status == 1 and "the tiny profile is complete" in text


def test_progress_lists_every_exercise():
    checks.record_progress("00.1", True)
    status, text = call("progress")
    assert status == 0
    assert "● " in text and "00.1" in text and "02.1" in text
    assert "1 solved" in text


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            PermissionError(13, "denied", "CLAIMS.md"),
            "No permission to write CLAIMS.md",
        ),
        (settings.SettingError("LABS_SEED is 'x'"), "LABS_SEED is 'x'"),
        (shelf.DamagedModel("The weight file is damaged"), "weight file is damaged"),
        (FileNotFoundError("data/reviews/train.jsonl is missing"), "is missing"),
    ],
)
def test_expected_failures_end_in_one_sentence(monkeypatch, error, says):
    def fail():
        raise error

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit, match=says) as stop:
        cli.main()
    assert str(stop.value).startswith("✗ ") and "\n" not in str(stop.value)


# --- doctor


def test_doctor_finds_this_environment_sound(monkeypatch):
    for check in (doctor.python, doctor.packages, doctor.text_encoder, doctor.data):
        assert doctor.fails(check) == "", check.__name__


def test_doctor_names_what_to_do_for_a_damaged_model(monkeypatch):
    def damaged(role):
        raise shelf.DamagedModel("The weight file is damaged. To repair: do this")

    monkeypatch.setattr(shelf, "folder", damaged)
    status, text = call("doctor")
    assert status == 1
    assert "✗ The weight file is damaged. To repair: do this" in text


def test_doctor_finds_a_changed_data_file(tmp_path, monkeypatch):
    (tmp_path / "reviews").mkdir()
    (tmp_path / "reviews" / "train.jsonl").write_text("{}")
    sums = tmp_path / "SHA256SUMS"
    monkeypatch.setattr(store, "DATA", tmp_path)
    monkeypatch.setattr(store, "CHECKSUMS", sums)
    store.write_checksums()
    assert store.changed() == []
    (tmp_path / "reviews" / "train.jsonl").write_text("{ }")
    assert store.changed() == ["data/reviews/train.jsonl"]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("LABS_SEED", "x", "LABS_SEED is 'x'"),
        ("LABS_PROFILE", "big", "LABS_PROFILE is 'big'"),
    ],
)
def test_doctor_explains_a_bad_setting(monkeypatch, name, value, says):
    monkeypatch.setenv(name, value)
    assert says in doctor.fails(doctor.variables)


def test_doctor_without_write_permission(monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "Copy the course into a folder of yours" in doctor.fails(doctor.writable)


def test_doctor_with_little_memory_and_disk(monkeypatch):
    import psutil

    monkeypatch.setattr(doctor, "MIN_DISK_GB", 1e9)
    assert "GB of disk are free" in doctor.fails(doctor.disk)

    class Little:
        available = 1e9

    monkeypatch.setattr(psutil, "virtual_memory", Little)
    assert "1.0 GB of memory are free" in doctor.fails(doctor.memory)


# --- lab


@pytest.fixture
def taken_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_lab_on_a_busy_port_is_one_sentence(taken_port):
    status, text = call("lab", "--port", str(taken_port), "--no-browser")
    assert status == 1
    assert f"Port {taken_port} is taken by another program" in text


def test_lab_chooses_another_port_when_the_default_is_taken(taken_port, monkeypatch):
    monkeypatch.setattr(lab, "PORT", taken_port)
    chosen = lab.choose_port(None)
    assert chosen != taken_port and lab.is_free(chosen)


def test_lab_listens_on_loopback_shows_no_token_and_fetches_nothing():
    command = lab.command(8888, "00_start_here", browser=False)
    assert "--ServerApp.ip=127.0.0.1" in command
    assert not any("token" in part for part in command)
    assert "--LabApp.news_url=None" in command
    assert "--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb" in command


# --- build, run, claims on a small lesson

GOOD = """# %% [markdown]
# # 00 · Small

# %%
from labs_support import settings
from labs_support.claims import claim

seed = settings.seed_everything()
claim("00.1", "seeds are small", seed, below=99)
print("done")
"""


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A course of one small lesson in a folder whose name has a space and an accent."""
    root = tmp_path / "corso più bello"
    (root / "lessons").mkdir(parents=True)
    (root / "notebooks").mkdir()
    monkeypatch.setattr(build, "LESSONS", root / "lessons")
    monkeypatch.setattr(build, "NOTEBOOKS", root / "notebooks")
    for name in ("CLAIMS_JSON", "CLAIMS_MD", "COSTS_JSON"):
        monkeypatch.setattr(report, name, root / getattr(report, name).name)
    lesson = root / "lessons" / "00_small.py"
    lesson.write_text(GOOD)
    return lesson


def test_build_twice_gives_the_same_sources(small):
    assert call("build", "00")[0] == 0
    first = nbformat.read(build.notebook_path(small), as_version=4)
    assert first.cells[1].outputs[0].text.endswith("done\n")
    assert call("build")[0] == 0
    second = nbformat.read(build.notebook_path(small), as_version=4)
    assert first == second


def test_what_a_cell_prints_is_kept_in_one_piece(small):
    slow = (
        "import time\nfor i in range(3):\n    print(i, flush=True)\n    time.sleep(0.5)"
    )
    small.write_text(f"{GOOD}\n# %%\n{slow}\n")
    assert call("build", "00")[0] == 0
    last = nbformat.read(build.notebook_path(small), as_version=4).cells[-1]
    assert [output.text for output in last.outputs] == ["0\n1\n2\n"]


def test_failing_lesson_says_where_and_leaves_the_notebook(small):
    call("build", "00")
    before = build.notebook_path(small).read_bytes()
    small.write_text(GOOD + "\n# %%\nclaim('00.2', 'impossible', 2, below=1)\n")
    status, text = call("build", "00")
    assert status == 1
    assert "✗ 00.2 impossible: ≈ 2.00 (below 1)" in text
    assert build.notebook_path(small).read_bytes() == before


def test_equal_cells_get_different_ids(small):
    small.write_text("# %%\n1 + 1\n\n# %%\n1 + 1\n")
    ids = [cell.id for cell in build.convert(small).cells]
    assert ids[0][:-1] == ids[1][:-1] and ids[0] != ids[1]


def test_run_prints_minutes_and_memory(small):
    status, text = call("run", "00")
    assert status == 0 and "00_small" in text and "MB" in text
    assert not build.notebook_path(small).exists()


def test_claims_over_seeds_are_written(small):
    status, text = call("claims", "--seeds", "3")
    assert status == 0
    (row,) = json.loads(report.CLAIMS_JSON.read_text())
    assert (row["id"], row["min"], row["max"], row["mean"]) == ("00.1", 0, 2, 1)
    assert row["held"] == 1 and row["seeds"] == 3
    assert row["low"] == pytest.approx(1 - 4.303 / 3**0.5, abs=1e-3)
    assert (
        "| 00.1 | seeds are small | below 99 | 1.00 |" in report.CLAIMS_MD.read_text()
    )


def test_claims_report_the_seeds_that_failed(small):
    small.write_text(GOOD.replace("below=99", "below=1"))
    status, text = call("claims", "--seeds", "2")
    assert status == 1 and "00_small with seed 1" in text
    (row,) = json.loads(report.CLAIMS_JSON.read_text())
    assert row["held"] == 0.5


def test_summaries_keep_the_lessons_not_run(small):
    report.write_claims(
        [
            {
                "id": f"{n}.1",
                "text": "t",
                "value": 1.0,
                "bound": "above 0",
                "unit": "",
                "seed": 0,
                "holds": True,
            }
            for n in ("01", "02")
        ]
    )
    call("claims", "--seeds", "2")
    ids = [row["id"] for row in report.read_claims()]
    assert ids == ["00.1", "01.1", "02.1"]


def test_marks_in_a_file_are_needed(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("<!-- a -->\nold\n<!-- /a -->\nrest")
    report.replace_between(page, "a", "new\n")
    assert page.read_text() == "<!-- a -->\nnew\n<!-- /a -->\nrest"
    with pytest.raises(ValueError, match="has no marks"):
        report.replace_between(page, "b", "new\n")


def test_ids_sort_by_number():
    ids = ["02.10", "02.9", "02.2b", "02.2a", "10.1"]
    assert sorted(ids, key=claims.order) == ["02.2a", "02.2b", "02.9", "02.10", "10.1"]


def test_settings_are_read_from_the_environment(monkeypatch):
    monkeypatch.setenv("LABS_SEED", "7")
    assert settings.read().seed == 7
