"""The `labs` command."""

import json
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from labs_support import build as building
from labs_support import checks, lab, report, settings, shelf
from labs_support.world import store

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help=__doc__,
)
console = Console(highlight=False, soft_wrap=True)
Lesson = Annotated[str, typer.Argument(help="Number or slug of a lesson, such as 02.")]


def _print_problem(message: object) -> None:
    console.print(f"[red]✗[/] {escape(str(message))}")


def _fail(message: object) -> typer.Exit:
    """Print one sentence after a red cross and return the exit to raise."""
    _print_problem(message)
    return typer.Exit(1)


def _lessons(wanted: str) -> list[Path]:
    try:
        return building.lessons(wanted)
    except ValueError as error:
        raise _fail(error) from None


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, console=console, transient=True)


@app.command()
def doctor() -> None:
    """Check this machine and the course on it; say what to do where it fails."""
    from labs_support import doctor as checkup

    problems = 0
    for check in checkup.CHECKS:
        try:
            console.print(f"[green]✔[/] {check()}")
        except checkup.Problem as problem:
            problems += 1
            _print_problem(problem)
    if problems:
        raise typer.Exit(1)
    console.print("Everything is in order.")


@app.command("lab")
def start_lab(
    lesson: Lesson = "00",
    port: Annotated[
        int | None, typer.Option(min=1024, max=65535, help="A free one unless given.")
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open a browser window.")] = True,
) -> None:
    """Open JupyterLab at a lesson."""
    chosen = _lessons(lesson)[0]
    try:
        status = lab.start(chosen.stem, port, browser=browser)
    except lab.PortBusy as error:
        raise _fail(error) from None
    raise typer.Exit(status)


@app.command("assistant")
def start_assistant(
    port: Annotated[
        int | None, typer.Option(min=1024, max=65535, help="A free one unless given.")
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open a browser window.")] = True,
) -> None:
    """Open Lume, who answers from the shop's handbook and finds its products."""
    try:
        chosen = lab.choose_port(port, usual=7860)
    except lab.PortBusy as error:
        raise _fail(error) from None
    from labs_support.apps import assistant

    assistant.serve(chosen, browser=browser)


@app.command()
def run(
    lesson: Annotated[str, typer.Argument(help="Number or slug of a lesson.")] = "",
    all_lessons: Annotated[
        bool, typer.Option("--all", help="Run every lesson.")
    ] = False,
    record: Annotated[
        bool, typer.Option(help="Put the measured costs into the README.")
    ] = False,
) -> None:
    """Execute lessons and print minutes and peak memory; your notebooks stay as they are."""
    if not lesson and not all_lessons:
        raise _fail("Which lesson? For example: labs run 02, or labs run --all")
    costs, table = {}, Table("lesson", "minutes", "peak memory")
    for path in _lessons("" if all_lessons else lesson):
        costs[path.stem] = cost = _execute(path)
        table.add_row(path.stem, f"{cost.seconds / 60:.1f}", f"{cost.peak_mb:,.0f} MB")
    console.print(table)
    if record:
        report.record_costs(costs)


def _execute(path: Path, env: dict[str, str] | None = None) -> building.Cost:
    """Execute one lesson under a progress bar; stop with its message if it fails."""
    nb = building.convert(path)
    with _progress() as bar:
        task = bar.add_task(path.stem, total=len(nb.cells))
        try:
            return building.execute(nb, env=env, on_cell=lambda: bar.advance(task))
        except building.LessonFailed as error:
            raise _fail(f"{path.stem} stopped:\n{error}") from None


@app.command()
def build(
    lesson: Annotated[str, typer.Argument(help="All unless given.")] = "",
) -> None:
    """Make notebooks from lessons: convert, execute, store the outputs."""
    for path in _lessons(lesson):
        with _progress() as bar:
            task = bar.add_task(path.stem, total=len(building.convert(path).cells))
            try:
                cost = building.build(path, on_cell=lambda: bar.advance(task))  # noqa: B023
            except building.LessonFailed as error:
                raise _fail(f"{path.stem} stopped:\n{error}") from None
        console.print(f"{path.stem}: {cost.seconds:.0f} s, {cost.peak_mb:,.0f} MB")


@app.command()
def progress() -> None:
    """Show which exercises you have solved."""
    from labs_support import exercises

    done = checks.progress()
    table = Table("", "exercise", "stars", "minutes")
    for exercise in exercises.every():
        state = {True: "●", False: "✗", None: "○"}[done.get(exercise.id)]
        stars = "★" * exercise.stars
        table.add_row(
            state, f"{exercise.id} {exercise.title}", stars, str(exercise.minutes)
        )
    console.print(table)
    solved = sum(done.values())
    console.print(f"{solved} solved, {len(done) - solved} tried and not solved yet.")


@app.command()
def claims(
    lesson: Annotated[str, typer.Argument(help="All unless given.")] = "",
    seeds: Annotated[int, typer.Option(min=1, help="Run with seeds 0 to N-1.")] = 5,
    jobs: Annotated[int, typer.Option(min=1, help="Lessons at a time.")] = 2,
) -> None:
    """Execute lessons with several seeds; write data/claims.json and CLAIMS.md."""
    runs = [(path, seed) for seed in range(seeds) for path in _lessons(lesson)]
    with tempfile.TemporaryDirectory() as folder, _progress() as bar:
        task = bar.add_task("claims", total=len(runs))

        def job(item: tuple[Path, int]) -> str:
            path, seed = item
            log = f"{folder}/{path.stem}-{seed}.jsonl"
            failure = ""
            try:
                env = {"LABS_SEED": str(seed), "LABS_CLAIMS_LOG": log}
                building.execute(building.convert(path), env=env)
            except building.LessonFailed as error:
                failure = f"{path.stem} with seed {seed}: {str(error).strip()[-400:]}"
            bar.advance(task)
            return failure

        with ThreadPoolExecutor(jobs) as pool:
            failures = [text for text in pool.map(job, runs) if text]
        logs = sorted(Path(folder).glob("*.jsonl"))
        lines = [
            line
            for log in logs
            for line in log.read_text(encoding="utf-8").splitlines()
        ]
    rows = report.write_claims([json.loads(line) for line in lines])
    for failure in failures:
        _print_problem(failure)
    console.print(f"{len(rows)} claims in {report.CLAIMS_MD.name}")
    if failures:
        raise typer.Exit(1)


@app.command()
def rebuild(
    name: Annotated[str, typer.Argument(help="A data set, all of them, or a model.")],
) -> None:
    """Make a generated data set again, or train a model again (hours on a CPU)."""
    if (settings.DATA / "models" / name).is_dir():
        from labs_support.recipes import cards

        cards.rebuild(name)
        console.print(f"{name}: trained, measured and put on the shelf")
        return
    names = store.GENERATED if name == "all" else (name,)
    with _progress() as bar:
        for each in bar.track(names, description="rebuilding"):
            try:
                store.build(each)
            except ValueError as error:
                raise _fail(error) from None
    store.write_checksums()
    report.replace_between(settings.DATA / "README.md", "files", report.data_table())
    console.print(f"{', '.join(names)}: written and summed up in data/README.md")


@app.command()
def evaluate(
    name: Annotated[str, typer.Argument(help="A model of data/models.")],
    record: Annotated[
        bool, typer.Option("--record", help="Write the scores into the model's card.")
    ] = False,
) -> None:
    """Measure a model that the course trained, on what it has never seen."""
    from labs_support.recipes import cards

    try:
        scores = cards.measure(name)()
    except ValueError as error:
        raise _fail(error) from None
    table = Table(name, "measured")
    for key, value in scores.items():
        table.add_row(key.replace("_", " "), f"{value:.3f}")
    console.print(table)
    if record:
        cards.record(name, scores)


@app.command()
def fetch() -> None:
    """Download the hub models of LABS_PROFILE=hub, so that it also runs offline."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    if settings.read().profile != "hub":
        raise _fail(
            "Nothing to fetch: the tiny profile is complete. For hub models: "
            "LABS_PROFILE=hub labs fetch"
        )
    with _progress() as bar:
        for role in bar.track(list(shelf.ROLES.values()), description="fetching"):
            try:
                folder = snapshot_download(role.hub, allow_patterns=role.files)
            except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
                raise _fail(
                    f"Could not fetch {role.hub}: check the network and run the "
                    f"same command again ({type(error).__name__})."
                ) from None
            console.print(f"{role.name}: {role.hub} in {folder}")


def main() -> None:
    """Run the command; say in one sentence what an expected failure needs."""
    sys.stdout.reconfigure(encoding="utf-8")  # a Windows console may have another
    try:
        app()
    except (settings.SettingError, shelf.DamagedModel, FileNotFoundError) as error:
        raise SystemExit(f"✗ {error}") from None
    except PermissionError as error:
        raise SystemExit(
            f"✗ No permission to write {error.filename}. "
            "Copy the course into a folder of yours, then run the same command there."
        ) from None


if __name__ == "__main__":
    main()
