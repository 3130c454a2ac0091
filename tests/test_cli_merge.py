"""`tocsin generate alertmanager --merge` and `--unmerge`: what they write, print and refuse."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from tocsin.cli.failure import Failed
from tocsin.cli.generate import generate
from tocsin.cli.merge import merge_command, unmerge_command
from tools.servers import require

FRAGMENT = {"route": {"matchers": ['tocsin_service="x"'], "receiver": "tocsin-a"}, "receivers": [{"name": "tocsin-a"}]}
OLD = "# ours\nroute: {receiver: a}\nreceivers:\n- name: a # ü"
LINES = re.compile(r".*\n|.+")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    require("amtool")
    file = tmp_path / "old.yml"
    file.write_text(OLD)
    file.chmod(0o640)
    return file


@pytest.fixture
def without_amtool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


def test_the_difference_is_one_that_patch_takes_and_amtool_accepts_the_result(
    old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = tmp_path / "new.yml"
    merge_command(old, new, FRAGMENT)
    out = capsys.readouterr().out
    *diff, said = LINES.findall(out)
    assert said == f"SUCCESS: {new} is written; amtool accepts it\n"
    assert [line for line in diff if line.startswith("-")] == [f"--- {old}\n", "-route: {receiver: a}\n"]
    assert old.read_text() == OLD
    assert new.stat().st_mode & 0o777 == 0o640
    copy = tmp_path / "copy.yml"
    shutil.copy(old, copy)
    subprocess.run(
        [require("patch"), "--silent", str(copy)], input="".join(diff), text=True, check=True, capture_output=True
    )
    assert copy.read_bytes() == new.read_bytes()
    unmerge_command(new, tmp_path / "back.yml")
    assert (tmp_path / "back.yml").read_bytes() == old.read_bytes()


def test_a_second_time_changes_nothing_and_says_so(
    old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = tmp_path / "new.yml"
    merge_command(old, new, FRAGMENT)
    before = new.stat()
    capsys.readouterr()
    merge_command(new, new, FRAGMENT)
    assert capsys.readouterr().out == f"SUCCESS: {new} is as it should be: nothing changes; amtool accepts it\n"
    merge_command(old, new, FRAGMENT)
    assert capsys.readouterr().out.endswith(f"SUCCESS: {new} is as it should be: nothing changes; amtool accepts it\n")
    assert (new.stat().st_ino, new.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_file_can_be_replaced_and_a_link_to_it_stays_one(
    old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    link = tmp_path / "link.yml"
    link.symlink_to(old)
    merge_command(link, link, FRAGMENT)
    assert link.is_symlink()
    assert "tocsin-a" in old.read_text()
    assert old.stat().st_mode & 0o777 == 0o640
    unmerge_command(link, old)
    assert old.read_text() == OLD
    capsys.readouterr()
    unmerge_command(old, old)
    said = f"SUCCESS: {old} is as it should be: nothing changes; {old} has no part of Tocsin\n"
    assert capsys.readouterr().out == said


def test_what_has_no_part_of_ours_is_not_overwritten(old: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yml"
    other.write_text("precious: true\n")
    refusal = f"^{re.escape(str(other))} would be overwritten, and has no part of Tocsin"
    with pytest.raises(Failed, match=refusal):
        merge_command(old, other, FRAGMENT)
    with pytest.raises(Failed, match=refusal):
        unmerge_command(old, other)
    assert other.read_text() == "precious: true\n"


def test_a_template_that_is_not_beside_the_file_is_named(
    old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = tmp_path / "new.yml"
    (tmp_path / "there.tmpl").write_text("")
    names = ["there.tmpl", f"{tmp_path}/*.tmpl", "not/there.tmpl"]
    merge_command(old, new, {**FRAGMENT, "templates": names})
    said = f"warning: {new} wants not/there.tmpl, which is not there: put the generated one in its place\n"
    assert capsys.readouterr().err == said


def test_a_file_that_amtool_refuses_already_is_said_to_be_so(old: Path, tmp_path: Path) -> None:
    old.write_text("route: {receiver: a, no: thing}\nreceivers: [{name: a}]\n")
    with pytest.raises(Failed) as caught:
        merge_command(old, tmp_path / "new.yml", FRAGMENT)
    first, *rest = caught.value.message.splitlines()
    assert first == f"amtool refuses {old} as it is, which has to be right first; nothing is written:"
    assert "field no not found" in "".join(rest)
    assert list(tmp_path.iterdir()) == [old]


def test_a_result_that_amtool_refuses_is_not_written(old: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.yml"
    with pytest.raises(Failed, match=f"^amtool refuses the result; {re.escape(str(new))} is not written:\n"):
        merge_command(old, new, {**FRAGMENT, "receivers": [{"name": "tocsin-b"}]})
    assert list(tmp_path.iterdir()) == [old]


@pytest.mark.usefixtures("without_amtool")
def test_without_amtool_it_says_that_nothing_was_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = tmp_path / "old.yml", tmp_path / "new.yml"
    old.write_text(OLD)
    merge_command(old, new, FRAGMENT)
    said = f"SUCCESS: {new} is written; amtool is not on PATH: the result was not checked with it"
    assert capsys.readouterr().out.splitlines()[-1] == said


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"route: a\nreceivers: []\n", "{old}:1: found no mapping `route` of its own, expected one"),
        (b"route:\n  # \xff\n", "{old}:2: found bytes that are not UTF-8, expected UTF-8"),
        (None, "cannot read {old}: No such file or directory"),
    ],
)
def test_a_file_that_nothing_can_be_added_to_is_named_and_nothing_written(
    content: bytes | None, error: str, tmp_path: Path
) -> None:
    old = tmp_path / "old.yml"
    if content is not None:
        old.write_bytes(content)
    with pytest.raises(Failed) as caught:
        merge_command(old, tmp_path / "new.yml", FRAGMENT)
    assert caught.value.message == error.format(old=old)
    assert not (tmp_path / "new.yml").exists()


def test_the_command_puts_in_what_the_configuration_says_and_takes_it_out(old: Path, tmp_path: Path) -> None:
    new, config = tmp_path / "new.yml", str(Path(__file__).parents[1] / "examples" / "tocsin.yml")
    command = ["alertmanager"]
    done = CliRunner().invoke(generate, [*command, "--config.file", config, "--merge", str(old), "--out", str(new)])
    assert done.exit_code == 0, done.output
    assert done.stdout.endswith(f"SUCCESS: {new} is written; amtool accepts it\n")
    assert "tocsin_service=" in new.read_text()
    done = CliRunner().invoke(generate, [*command, "--unmerge", str(new), "--out", str(new)])
    assert done.exit_code == 0, done.output
    assert new.read_text() == OLD


@pytest.mark.parametrize(
    "options",
    [
        ["--merge", "a.yml"],
        ["--unmerge", "a.yml"],
        ["--merge", "a.yml", "--unmerge", "a.yml", "--out", "b.yml"],
        ["--merge", "a.yml", "--out", "b.yml", "--check"],
        ["--merge", "a.yml", "--fragment"],
        ["--merge", "a.yml", "--out", "b.yml"],
    ],
)
def test_options_that_do_not_go_together_are_refused(options: list[str]) -> None:
    done = CliRunner().invoke(generate, ["alertmanager", *options])
    assert done.exit_code == 2
    assert "Error: " in done.output


def test_a_place_that_cannot_be_written_is_named(old: Path, tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"^cannot write .*/none/.*: No such file or directory$"):
        merge_command(old, tmp_path / "none" / "new.yml", FRAGMENT)
