"""The documents: what they link to and name exists, their commands can be given, their tables are those of the code."""

import importlib.util
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from spot.device.heat_pump_settings import HEAT_PUMP
from spot.device.settings import COMMON, PLUG, SWITCHES, WORDS
from spot_host import cli

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "boards").rglob("*.md"),
                 *(ROOT / "tests").rglob("*.md"))
    if "node_modules" not in path.parts
)
TEXT = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in PAGES}
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z][\w-]*):", MAKEFILE, re.M))
PARTS = ("firmware", "host_tools", "sim", "tests", "boards", "docs")  # what a path in `…` begins with
MADE = ("tests/rp2040/out",)  # what is named and is not in the repository


def links(text):
    """(target, anchor) of every link to a file of ours."""
    bare = re.sub(r"```.*?```", "", text, flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", bare):
        if not re.match(r"[a-z]+:", target):
            name, _, anchor = target.partition("#")
            yield name, anchor


def anchors(text):
    """What a heading is called in a link, as GitHub makes it."""
    return {
        re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", text, re.M)
    }


@pytest.mark.parametrize("page", TEXT)
def test_every_link_leads_somewhere(page):
    folder = (ROOT / page).parent
    for name, anchor in links(TEXT[page]):
        target = (folder / name).resolve() if name else ROOT / page
        assert target.exists(), name
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target.read_text(encoding="utf-8")), f"{name}#{anchor}"


@pytest.mark.parametrize("page", TEXT)
def test_every_file_that_is_named_exists(page):
    for path in re.findall(r"`((?:%s)/[\w./-]+\w)`" % "|".join(PARTS), TEXT[page]):
        assert (ROOT / path).exists() or path.startswith(MADE), path


def test_every_page_can_be_reached_from_the_readme():
    seen, left = set(), ["README.md"]
    while left:
        page = left.pop()
        if page not in seen:
            seen.add(page)
            for name, _ in links(TEXT[page]):
                path = ((ROOT / page).parent / name).resolve()
                path = path / "README.md" if path.is_dir() else path
                found = str(path.relative_to(ROOT))
                if found in TEXT:
                    left.append(found)
    assert [page for page in TEXT if page not in seen] == []


# --- commands -----------------------------------------------------------------------------------------------------


def given(text):
    """The commands that a page gives: lines of code blocks, and words in `…`, that begin with spot, make or python."""
    code = [line for block in re.findall(r"```(?:sh)?\n(.*?)```", text, re.S) for line in block.splitlines()]
    code += re.findall(r"^    (\S.*)$", text, re.M)
    code += re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.S))
    for line in code:
        line = line.strip().removeprefix(".venv/bin/").split("  #")[0].split(" # ")[0]
        if re.match(r"(spot|make|python) \S", line) and not re.match(r"make \w+ ?\S* (\w+ ){3}", line):
            yield line


def check_spot(words):
    """The sub-commands and options in `words` exist."""
    command = cli.load(words[0]) if words[0] in cli.COMMANDS else None
    assert command is not None, words[0]
    rest = words[1:]
    while hasattr(command, "list_commands") and rest and not rest[0].startswith("-"):
        known = command.list_commands(None)
        name = rest.pop(0)
        for word in re.split("[,|]", name):
            assert not word or word in known, f"{word}: there are {', '.join(known)}"
        command = command.get_command(None, re.split("[,|]", name)[0])
        rest = [word for word in rest if word not in known]  # `spot emd alarms, log, intervals`
    options = {option for one in command.params for option in (*one.opts, *one.secondary_opts)} | {"--help"}
    for word in rest:
        word = re.sub(r"[\])},;]+$", "", word.lstrip("[(")).split("=")[0]
        if re.match(r"--?[a-z]", word):
            assert word in options, word


@pytest.mark.parametrize("page", TEXT)
def test_every_command_can_be_given(page):
    for line in given(TEXT[page]):
        try:
            words = shlex.split(line.replace("…", ""))
        except ValueError:
            continue  # a piece of something else
        if words[0] == "spot":
            try:
                check_spot([word.rstrip(",;") for word in words[1:]])
            except AssertionError as error:
                raise AssertionError(f"{line}: {error}") from None
        elif words[0] == "make":
            for word in words[1:]:
                if "=" in word:
                    assert f"$({word.split('=')[0]})" in MAKEFILE, line
                elif not word.startswith("-"):
                    assert word in TARGETS, line
        elif words[1] == "-m":
            assert importlib.util.find_spec(words[2]) is not None, line


def test_commands_are_found():
    """The test above looks at something."""
    found = [line for text in TEXT.values() for line in given(text)]
    assert len(found) > 60 and {"spot", "make", "python"} <= {line.split()[0] for line in found}


# --- settings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("page", "table"), [
    ("docs/plug.md", PLUG), ("docs/heat-pump.md", {n: row for n, row in HEAT_PUMP.items() if n not in COMMON}),
])
def test_the_table_of_settings_is_the_codes(page, table):
    part = TEXT[page].split("## Settings\n", 1)[1]
    rows = re.findall(r"^\| `(\w+)` \| ([\d,]*) \| ([\d,]*) \| ([\w,]*) \|", part, re.M)
    shown = {name: tuple(cell.replace(",", "") for cell in cells) for name, *cells in rows}
    others = set(WORDS) | set(SWITCHES) | {"steps"}
    assert {name: cells for name, cells in shown.items() if name not in others} == {
        name: (str(row[0]), str(row[1]), "" if row[2] is None else str(row[2])) for name, row in table.items()
    }
    for name in others & set(shown):
        default = WORDS[name][0] if name in WORDS else str(SWITCHES.get(name, "")).lower()
        assert shown[name][2] == default, name


# --- what does not belong here -------------------------------------------------------------------------------------


def test_no_file_has_a_path_of_somebodys_machine():
    ours = "work"  # put together here, since this file is looked at, too
    paths = re.compile(r"(?<!der)/(?:home|Users)/[a-z]\w*/|(?<![\w.])/%s/|/tmp/\w" % ours)
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in files.split("\0"):
        path = ROOT / name
        if name and path.is_file() and path.suffix in (".md", ".py", ".toml", ".json", ".lock", ".mjs", ".svg", ""):
            text = path.read_text(encoding="utf-8")
            assert not paths.search(text), name
