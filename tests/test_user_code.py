from __future__ import annotations

import multiprocessing
import sys
from pathlib import Path

import pytest

from tui_trainer import user_code
from tui_trainer.errors import ConfigError

GOOD = "class Net:\n    def __init__(self, n=1):\n        self.n = n\n\nNUMBER = 3\n"


@pytest.fixture(autouse=True)
def own_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def written(path: str, text: str = GOOD) -> Path:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")
    return file


def refused(spec: str, *, trusted: bool = False) -> str:
    with pytest.raises(ConfigError) as caught:
        user_code.load(spec, trusted=trusted)
    return str(caught.value)


def test_a_class_of_a_file_in_the_project():
    written("own_net_a.py")
    assert user_code.load("own_net_a.py:Net", trusted=False)(n=5).n == 5


def test_a_factory_of_a_module_in_the_project():
    written("own_package_b/nets.py", "def make(): return 7\n")
    assert user_code.load("own_package_b.nets:make", trusted=False)() == 7


def test_a_file_may_import_its_neighbour():
    written("deep/own_net_c.py", "from own_neighbour_c import WIDTH\ndef make(): return WIDTH\n")
    written("deep/own_neighbour_c.py", "WIDTH = 4\n")
    assert user_code.load("deep/own_net_c.py:make", trusted=False)() == 4


def test_an_unchanged_file_is_imported_once_and_a_changed_one_again():
    file = written("own_net_d.py")
    first = user_code.load("own_net_d.py:Net", trusted=False)
    assert user_code.load("own_net_d.py:Net", trusted=False) is first
    file.write_text(GOOD.replace("self.n = n", "self.n = n + 1"), "utf-8")
    assert user_code.load("own_net_d.py:Net", trusted=False)().n == 2


def test_two_files_of_one_name_one_after_the_other():
    written("one/own_net_e.py", "def make(): return 1\n")
    written("two/own_net_e.py", "def make(): return 2\n")
    assert user_code.load("one/own_net_e.py:make", trusted=False)() == 1
    assert user_code.load("two/own_net_e.py:make", trusted=False)() == 2


def test_a_worker_process_can_unpickle_an_instance():
    written("own_net_f.py")
    net = user_code.load("own_net_f.py:Net", trusted=False)(n=9)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(getattr, (net, "n")) == 9


@pytest.mark.parametrize(
    ("text", "spec", "said"),
    [
        ("def broken(:\n", "own_bad_g.py:Net", "line 1 is not valid Python"),
        ("\n\n1 / 0\n", "own_bad_g.py:Net", "line 3 fails while it is imported: ZeroDivisionError"),
        ("raise SystemExit(3)\n", "own_bad_g.py:Net", "fails while it is imported: SystemExit: 3"),
        ("import not_there_at_all\n", "own_bad_g.py:Net", "it needs not_there_at_all, which is not installed"),
        (GOOD, "own_bad_g.py:Nett", "has no Nett; did you mean Net?"),
        (GOOD, "own_bad_g.py:NUMBER", "is a int: give a class or a function"),
        (GOOD, "missing.py:Net", "There is no file missing.py"),
        (GOOD, "no_such_package_g.nets:Net", "There is no module no_such_package_g.nets"),
        (GOOD, "own_bad_g_/nets:Net", "There is no module own_bad_g_/nets: nothing of this name is installed or here."),
        (GOOD, "./own_bad_g:Net", "There is no module ./own_bad_g: did you mean the file ./own_bad_g.py?"),
        (GOOD, ":Net", "write path/to/file.py:Name"),
        (GOOD, "own_bad_g.py:", "write path/to/file.py:Name"),
        ("\x00", "own_bad_g.py:Net", "own_bad_g.py"),
        ("# \udc80".encode("utf-8", "surrogateescape").decode("latin-1"), "own_bad_g.py:Net", "has no Net"),
    ],
)
def test_each_way_to_fail_has_its_sentence(text, spec, said):
    written("own_bad_g.py", text)
    sentence = refused(spec)
    assert said in sentence
    assert "\n" not in sentence


def test_a_file_that_is_called_like_a_module_is_refused():
    written("random.py")
    assert "another module is called random already" in refused("random.py:Net")
    written("two-words.py")
    assert "rename the file" in refused("two-words.py:Net")


def test_a_failed_import_leaves_no_module_behind():
    written("own_bad_h.py", "1 / 0\n")
    refused("own_bad_h.py:Net")
    assert "own_bad_h" not in sys.modules


@pytest.mark.parametrize("spec", ["os:system", "subprocess:run", "torch.hub:load", "../outside.py:Net"])
def test_code_from_outside_the_project_needs_consent(spec):
    written("../outside.py", "raise AssertionError('ran')\n")
    assert "--trust-code" in refused(spec)


def test_a_link_out_of_the_project_needs_consent():
    Path("linked.py").symlink_to(written("../outside_i.py"))
    assert "--trust-code" in refused("linked.py:Net")


def test_the_home_folder_is_no_project(monkeypatch):
    monkeypatch.setenv("HOME", str(Path.cwd()))
    written("own_net_j.py")
    assert "--trust-code" in refused("own_net_j.py:Net")


def test_consent_is_for_these_bytes():
    file = written("../outside_k.py")
    spec = "../outside_k.py:Net"
    user_code.consent(spec)
    assert user_code.load(spec, trusted=False)().n == 1
    file.write_text(GOOD + "\n", "utf-8")
    assert "--trust-code" in refused(spec)
    assert user_code.load(spec, trusted=True)().n == 1


def test_what_a_file_prints_is_not_a_result(capsys):
    written("own_net_l.py", GOOD + "print('hello')\n")
    user_code.load("own_net_l.py:Net", trusted=False)
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "hello\n")


def test_a_spec_from_any_folder():
    assert user_code.absolute("nets/a.py:Net") == f"{Path.cwd() / 'nets/a.py'}:Net"
    assert user_code.absolute("package.module:make") == "package.module:make"
    assert not user_code.names_code("resnet18")
