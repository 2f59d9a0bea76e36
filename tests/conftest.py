"""What concerns all tests: offline, own progress, and the style report at the end."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # see labs_support/__init__.py
os.environ.setdefault("HF_HUB_OFFLINE", "1")


def pytest_terminal_summary(terminalreporter):
    """Report the style numbers of every lesson (see STYLE), measured by its test."""
    rows = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            name = getattr(report, "nodeid", "")
            if (
                "test_style_of_the_lesson" in name
                and getattr(report, "when", "") == "call"
            ):
                rows[name.partition("[")[2].rstrip("]")] = dict(report.user_properties)
    if rows:
        terminalreporter.section("style of the lessons")
    for lesson, numbers in sorted(rows.items()):
        text = ", ".join(f"{name} {value:g}" for name, value in numbers.items())
        terminalreporter.write_line(f"{lesson}: {text}")
