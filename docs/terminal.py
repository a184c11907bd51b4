#!/usr/bin/env python3
"""Draws what a terminal of 80 columns shows of a cache's life, as one picture for light and dark pages.

    docs/terminal.py target/release/cachekeep docs/images/terminal.svg

It needs tmux. The commands run in a project that is made for them; times and speeds are those of the machine.
"""

import html
import os
import re
import subprocess
import sys
import tempfile
import time

COLUMNS = 80
LINES = 100
SESSION = f"cachekeep-{os.getpid()}"

CONFIG = """\
[cache.ccache]
path         = "ccache"
key          = "ccache-{os}-{var.sha}"
restore-keys = ["ccache-{os}-"]

[cache.data]
path    = "data"
key     = "data-{links}"
links   = { files = ["Testing/*.sha256"] }
seed    = { version = "5.4.5", from = ["seed.tar.gz"], subdir = "objects" }

[clean]
superseded = { keep = 1 }
"""

# Commits, as keys have them.
SHAS = [f"{number}" * 40 for number in (1, 2, 3)]

COMMANDS = [
    "cachekeep restore ccache",
    "cachekeep seed data",
    "cachekeep save",
    "cachekeep ls",
    "cachekeep clean --dry-run",
]

STYLE = """\
text { font: 13px/1 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; white-space: pre; fill: #1f2328; }
rect { fill: #f6f8fa; stroke: #d1d9e0; }
.bold { font-weight: bold; } .c31 { fill: #cf222e; } .c33 { fill: #9a6700; } .prompt { fill: #0969da; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; } rect { fill: #0d1117; stroke: #3d444d; }
  .c31 { fill: #ff7b72; } .c33 { fill: #d29922; } .prompt { fill: #4493f8; }
}
"""


def tmux(*arguments):
    return subprocess.run(["tmux", *arguments], check=True, capture_output=True, text=True).stdout


def project(place):
    import hashlib

    workspace = os.path.join(place, "imaging")
    os.makedirs(os.path.join(workspace, "Testing"))
    os.makedirs(os.path.join(place, "objects", "SHA256"))
    for number in range(40):
        text = b"%d" % number + os.urandom(50_000)
        name = hashlib.sha256(text).hexdigest()
        with open(os.path.join(place, "objects", "SHA256", name), "wb") as file:
            file.write(text)
        with open(os.path.join(workspace, "Testing", f"{number}.mha.sha256"), "w", encoding="ascii") as file:
            file.write(name)
    subprocess.run(["tar", "-czf", os.path.join(workspace, "seed.tar.gz"), "-C", place, "objects"], check=True)
    for number in range(400):
        directory = os.path.join(workspace, "ccache", f"{number % 16:x}")
        os.makedirs(directory, exist_ok=True)
        with open(os.path.join(directory, f"{number}.R"), "wb") as file:
            file.write(os.urandom(300_000))
    with open(os.path.join(workspace, "cachekeep.toml"), "w", encoding="ascii") as file:
        file.write(CONFIG)
    return workspace


def change(workspace):
    """What a build does to its compiler cache."""
    with open(os.path.join(workspace, "ccache", "0", "0.R"), "wb") as file:
        file.write(os.urandom(300_000))


def shown():
    """The lines that the terminal shows, without those below the last."""
    return tmux("capture-pane", "-p", "-e", "-t", SESSION, "-S", "-").rstrip().splitlines()


def wait(ready, seconds=60):
    for _ in range(seconds * 50):
        lines = shown()
        if ready(lines):
            return lines
        time.sleep(0.02)
    raise SystemExit("the terminal does not show what it is to show")


def typed(command, number):
    """Types a command and waits for its end; a picture of its bar, if it drew one."""
    bar = None
    tmux("send-keys", "-t", SESSION, command, "Enter")

    def is_done(lines):
        nonlocal bar
        found = [line for line in lines if re.search(r"\[[=> ]+\]", plain(line))]
        # In the middle of the work it shows most.
        if found and "left" in found[-1]:
            bar = found[-1]
        return len([line for line in lines if plain(line).startswith("$")]) > number

    wait(is_done)
    return bar


def plain(line):
    return re.sub(r"\x1b\[[0-9;]*m", "", line)


def row(line, y):
    spans, classes = [], set()
    if line.startswith("$"):
        return f'<text x="12" y="{y}" class="bold"><tspan class="prompt">$</tspan>{html.escape(line[1:])}</text>'
    for part in re.split(r"(\x1b\[[0-9;]*m)", line):
        code = re.fullmatch(r"\x1b\[([0-9;]*)m", part)
        if code:
            for number in code[1].split(";"):
                if number in ("", "0"):
                    classes = set()
                elif number == "1":
                    classes.add("bold")
                elif number in ("31", "33"):
                    classes.add(f"c{number}")
                elif number in ("39", "22"):
                    classes = {name for name in classes if (name == "bold") == (number == "39")}
        elif part:
            names = " ".join(sorted(classes))
            spans.append(f'<tspan class="{names}">{html.escape(part)}</tspan>' if names else html.escape(part))
    return f'<text x="12" y="{y}">{"".join(spans)}</text>'


def picture(lines):
    height = 17 * len(lines) + 24
    width = COLUMNS * 8 + 8
    rows = "\n".join(row(line, 26 + 17 * index) for index, line in enumerate(lines))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">\n'
        f"<title>cachekeep in a terminal</title>\n<style>\n{STYLE}</style>\n"
        f'<rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="6"/>\n{rows}\n</svg>\n'
    )


def main():
    program, out = map(os.path.abspath, sys.argv[1:3])
    with tempfile.TemporaryDirectory(prefix="ck-") as place:
        workspace = project(place)
        environment = [f"PATH={os.path.dirname(program)}:{os.environ['PATH']}", f"HOME={place}", "PS1=$ ", "TERM=xterm-256color"]
        run = ["env", "-i", "-C", workspace, *environment]
        for sha in SHAS[:2]:
            subprocess.run([*run, program, "-q", "save", "ccache", "--var", f"sha={sha}"], check=True)
            change(workspace)
        # What `mode: install` leaves for the steps of a job.
        environment.append(f"CACHEKEEP_VARS=sha={SHAS[2]}")
        arguments = [argument for text in environment for argument in ("-e", text)]
        tmux("new-session", "-d", "-s", SESSION, "-x", str(COLUMNS), "-y", str(LINES), "-c", workspace, *arguments, "env -i " + " ".join(f"'{text}'" for text in environment) + " bash --norc --noprofile")
        try:
            wait(lambda lines: lines and lines[-1].startswith("$"))
            bars = []
            for number, command in enumerate(COMMANDS):
                if command.endswith("save"):
                    change(workspace)
                bars.append(typed(command, number + 1))
            lines = shown()[:-1]
        finally:
            tmux("kill-session", "-t", SESSION)
    for command, bar in zip(COMMANDS, bars):
        if bar:
            at = next(at for at, line in enumerate(lines) if plain(line) == f"$ {command}")
            lines.insert(at + 1, bar)
    with open(out, "w", encoding="utf-8") as file:
        file.write(picture(lines))


if __name__ == "__main__":
    main()
