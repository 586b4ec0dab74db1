"""./run and what it installs: set-up from nothing, advice when it cannot, and the lock it reads.

The real set-up takes minutes and the network (tests/bare_debian.sh does it). Here the programs that
./run starts are small scripts that write down how they were called.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHELL_TOOLS = "sh cat cmp cp rm mkdir dirname chmod env".split()

# Stands for an interpreter: answers ./run's questions, makes a .venv that holds itself, and logs.
PYTHON = """#!/bin/sh
log() { printf '%s' "${0##*/}" >>"$LOG"; printf ' [%s]' "$@" >>"$LOG"; printf '\\n' >>"$LOG"; }
case "$*" in
*"sys.exit(not (3, 11)"*) exit {unsupported} ;;
*"import venv, ensurepip"*) exit {no_venv} ;;
*"sys.version_info[:2])"*) echo {version} ; exit 0 ;;
*platform.python_version*) echo "Python {version}.0" ; exit 0 ;;
esac
log "$@"
printf 'PYTHONPATH=%s NOUSERSITE=%s PWD=%s\\n' "${PYTHONPATH-unset}" "${PYTHONNOUSERSITE-unset}" "$PWD" >>"$LOG"
case "$1 $2" in
"-m venv")
    mkdir -p "$3/bin"
    cp "$0" "$3/bin/python"
    : >"$3/bin/pip"
    chmod +x "$3/bin/pip"
    ;;
"-m pip") [ -z "${FAIL_PIP-}" ] ;;
"-m ruff") [ -z "${FAIL_RUFF-}" ] ;;
"-m mypy") [ -z "${FAIL_MYPY-}" ] ;;
"-m pytest") printf 'before: [%s]\\n' "$FORENSICS_CHECKS_FAILED" >>"$LOG" ; [ -z "${FAIL_PYTEST-}" ] ;;
esac
"""  # noqa: E501


class Checkout:
    """A copy of ./run in a folder with a space, and a PATH that holds what the test puts there."""

    def __init__(self, top: Path) -> None:
        self.root = top / "a check out"
        self.bin = top / "bin"
        self.log = top / "log"
        self.elsewhere = top / "else where"
        for folder in (self.root, self.bin, self.elsewhere):
            folder.mkdir()
        for name in ("run", "pyproject.toml", "requirements.lock"):
            shutil.copy(ROOT / name, self.root / name)
        for name in SHELL_TOOLS:
            found = shutil.which(name)
            assert found, name
            (self.bin / name).symlink_to(found)

    def add_python(
        self, name: str = "python3", *, version: str = "3.11", has_venv: bool = True
    ) -> None:
        minor = int(version.split(".")[1])
        text = PYTHON.replace("{unsupported}", str(int(not 11 <= minor <= 13)))
        text = text.replace("{no_venv}", str(int(not has_venv))).replace("{version}", version)
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def run(self, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.root / "run"), *args],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.elsewhere,
            env={"PATH": str(self.bin), "LOG": str(self.log), "PYTHONPATH": "/leak", **env},
        )

    def calls(self) -> list[str]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return lines


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_anything_else_prints_usage(checkout: Checkout) -> None:
    for args in ([], ["deploy"]):
        result = checkout.run(*args)
        assert result.returncode == 2
        assert "usage: ./run demo" in result.stderr
    assert checkout.run("--help").returncode == 0


def test_set_up_then_test_then_only_test(checkout: Checkout) -> None:
    checkout.add_python()
    first = checkout.run("test", "-k", "two words")
    assert first.returncode == 0, first.stderr
    calls = checkout.calls()
    venv = checkout.root / ".venv"
    assert calls[0] == f"python3 [-m] [venv] [{venv}]"
    install = next(c for c in calls if "[--require-hashes]" in c)
    assert f"[-r] [{checkout.root}/requirements.lock]" in install
    assert {"[--no-deps]", "[--only-binary]"} <= set(install.split())
    package = next(c for c in calls if "[--editable]" in c)
    assert {"[--no-index]", "[--no-build-isolation]", "[--no-deps]"} <= set(package.split())
    assert any("[-m] [mypy] [--strict] [forensics]" in c for c in calls)
    assert any(c.startswith("python [-m] [pytest]") and "[-k] [two words]" in c for c in calls)

    second = checkout.run("test")
    assert second.returncode == 0
    calls = checkout.calls()
    assert not any("[pip]" in c or "[venv]" in c for c in calls)
    assert "setting up" not in second.stderr


def test_another_place_is_not_searched_for_modules(checkout: Checkout) -> None:
    checkout.add_python()
    assert checkout.run("test").returncode == 0
    environments = [c for c in checkout.calls() if c.startswith("PYTHONPATH=")]
    assert environments
    assert all("PYTHONPATH=unset NOUSERSITE=1" in c for c in environments)


def test_demo_runs_where_the_caller_stands(checkout: Checkout) -> None:
    checkout.add_python()
    assert checkout.run("demo", "out folder").returncode == 0
    calls = checkout.calls()
    at = next(i for i, c in enumerate(calls) if "forensics.cli" in c)
    assert "[-P] [-m] [forensics.cli] [demo] [out folder]" in calls[at]
    assert calls[at + 1].endswith(f"PWD={checkout.elsewhere}")


@pytest.mark.parametrize("check", ["RUFF", "MYPY", "PYTEST"])
def test_one_failure_fails_but_the_others_still_run(checkout: Checkout, check: str) -> None:
    checkout.add_python()
    result = checkout.run("test", **{f"FAIL_{check}": "1"})
    assert result.returncode != 0
    calls = " ".join(checkout.calls())
    assert "[ruff]" in calls
    assert "[mypy]" in calls
    assert "[pytest]" in calls
    assert f"before: [{'' if check == 'PYTEST' else ' ' + check.lower()}]" in calls


def test_a_changed_lock_is_installed_again_a_changed_pyproject_only_the_package(
    checkout: Checkout,
) -> None:
    checkout.add_python()
    checkout.run("setup")
    checkout.calls()
    with (checkout.root / "pyproject.toml").open("a") as file:
        file.write("\n")
    checkout.run("setup")
    calls = checkout.calls()
    assert any("[--editable]" in c for c in calls)
    assert not any("[--require-hashes]" in c for c in calls)
    with (checkout.root / "requirements.lock").open("a") as file:
        file.write("\n")
    checkout.run("setup")
    calls = checkout.calls()
    assert any("[--require-hashes]" in c for c in calls)
    assert any("[--editable]" in c for c in calls)


def test_a_moved_checkout_is_set_up_again(checkout: Checkout, tmp_path: Path) -> None:
    checkout.add_python()
    checkout.run("setup")
    checkout.calls()
    checkout.root = checkout.root.rename(tmp_path / "moved here")
    assert checkout.run("setup").returncode == 0
    assert any("[--require-hashes]" in c for c in checkout.calls())


def test_an_interrupted_set_up_starts_again(checkout: Checkout) -> None:
    checkout.add_python()
    failed = checkout.run("test", FAIL_PIP="1")
    assert failed.returncode == 1
    assert "could not be installed" in failed.stderr
    assert not any("[pytest]" in c for c in checkout.calls())
    assert checkout.run("test").returncode == 0
    assert any("[--require-hashes]" in c for c in checkout.calls())


def test_an_environment_of_the_users_own_is_left_alone(checkout: Checkout) -> None:
    checkout.add_python()
    own = checkout.root / ".venv" / "precious"
    own.parent.mkdir()
    own.write_text("mine")
    result = checkout.run("test")
    assert result.returncode == 1
    assert "was not made by ./run" in result.stderr
    assert own.read_text() == "mine"


def test_advice_when_python_is_too_old(checkout: Checkout) -> None:
    checkout.add_python(version="3.9")
    result = checkout.run("test")
    assert result.returncode == 1
    assert "3.11, 3.12 or 3.13 is needed" in result.stderr
    assert "python3 is Python 3.9" in result.stderr
    assert "apt install python3 python3-venv" in result.stderr


def test_advice_when_the_venv_module_is_missing(checkout: Checkout) -> None:
    checkout.add_python(has_venv=False)
    result = checkout.run("test")
    assert result.returncode == 1
    assert "sudo apt install python3-venv" in result.stderr
    assert not (checkout.root / ".venv").exists()


def test_a_chosen_python_is_not_replaced(checkout: Checkout) -> None:
    checkout.add_python()
    checkout.add_python("old", version="3.10")
    result = checkout.run("setup", PYTHON="old")
    assert result.returncode == 1
    assert "old is Python 3.10" in result.stderr
    checkout.add_python("chosen", version="3.12")
    assert checkout.run("setup", PYTHON="chosen").returncode == 0
    assert checkout.calls()[0].startswith("chosen [-m] [venv]")


def test_a_name_that_is_no_python_is_passed_over(checkout: Checkout) -> None:
    broken = checkout.bin / "python3.13"
    broken.write_text("#!/bin/sh\necho 'python3.13: not installed here' >&2\nexit 127\n")
    broken.chmod(0o755)
    checkout.add_python("python3.12", version="3.12", has_venv=False)
    checkout.add_python("python3", version="3.11")
    assert checkout.run("setup").returncode == 0
    assert checkout.calls()[0].startswith("python3 [-m] [venv]")


def test_uv_is_used_when_present_and_pip_when_uv_fails(checkout: Checkout) -> None:
    checkout.add_python()
    uv = checkout.bin / "uv"
    uv.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && exit 0\n'
        'printf \'uv\' >>"$LOG"; printf \' [%s]\' "$@" >>"$LOG"; echo >>"$LOG"\n'
        '[ -z "${FAIL_UV-}" ] || exit 1\n'
        '[ "$1" = venv ] || exit 0\n'
        f'mkdir -p "{checkout.root}/.venv/bin"\n'
        f'cp "{checkout.bin}/python3" "{checkout.root}/.venv/bin/python"\n'
    )
    uv.chmod(0o755)
    assert checkout.run("setup").returncode == 0
    calls = checkout.calls()
    assert calls[0].startswith("uv [venv]")
    assert any(c.startswith("uv [pip] [install]") and "[--require-hashes]" in c for c in calls)
    assert any("[--offline]" in c and "[--editable]" in c for c in calls)

    shutil.rmtree(checkout.root / ".venv")
    result = checkout.run("setup", FAIL_UV="1")
    assert result.returncode == 0
    assert "trying pip" in result.stderr
    assert any("[-m] [pip]" in c and "[--require-hashes]" in c for c in checkout.calls())


@pytest.mark.parametrize("name", ["run", ".ci/run", "tests/bare_debian.sh"])
def test_the_shell_scripts_are_posix(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    assert text.startswith("#!/bin/sh\n")
    assert not re.search(r"\[\[|<<<|\bfunction \w|^\s*local |pipefail", text, re.MULTILINE)
    subprocess.run(["sh", "-n", str(ROOT / name)], check=True)


# ---------------------------------------------------------------- what is installed


def names(requirements: Iterable[str]) -> set[str]:
    return {re.split(r"[<>=!~ ;\[]", r, maxsplit=1)[0].lower() for r in requirements}


def asked_for() -> set[str]:
    lines = (ROOT / "requirements.in").read_text("utf-8").splitlines()
    return names(line for line in lines if line.strip() and not line.startswith("#"))


def test_the_lock_holds_one_opencv_and_only_hashes() -> None:
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    locked = set(re.findall(r"^([a-z0-9][\w.-]*)==", lock, re.MULTILINE))
    assert "opencv-python-headless" in locked
    assert not locked & {"opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless"}
    assert "://" not in lock
    assert not re.search(r"^\s*--(?!hash=sha256:)", lock, re.MULTILINE)
    for block in re.split(r"\n(?=[a-z0-9])", lock.strip()):
        assert "--hash=sha256:" in block, block
    assert asked_for() <= locked


def test_each_dependency_has_its_reason() -> None:
    """pyproject.toml, requirements.in and the table in CONTRIBUTING.md name the same packages."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    declared = names(project["dependencies"]).union(*(names(e) for e in extras.values()))
    table = re.findall(r"^\| (.*?) \|", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.MULTILINE)
    given = {n.lower() for n in re.findall(r"`([A-Za-z0-9._-]+)`", " ".join(table))}
    assert not (declared | asked_for()) - given
    # JupyterLab is for people; rapidocr's own needs come with it; hatchling builds the package.
    assert declared - asked_for() - names(extras["ocr"]) == {"jupyterlab"}
    assert asked_for() - declared == {"rapidocr", "hatchling", "editables"}


def test_the_lower_bounds_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = set((ROOT / "requirements.in").read_text("utf-8").splitlines())
    extras = project["optional-dependencies"]
    for requirement in [*project["dependencies"], *extras["report"], *extras["exchange"]]:
        assert requirement in lines
