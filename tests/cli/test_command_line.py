"""The command line itself: help, suggestions, completion, start-up, and what is shown of stored texts."""

import os
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import click
import pytest
from cli_helpers import entry, fill, terminal_output

from semantic_llm_cache.cli import main
from semantic_llm_cache.cli.app import COMMANDS, program

ROOT = Path(__file__).resolve().parents[2]
WORDS = re.compile(r"[\w-]+").findall
CODES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def context(name):
    root = click.Context(program, info_name="semantic-llm-cache", **program.context_settings)
    command = program.get_command(root, name)
    return command, click.Context(command, info_name=name, parent=root)


def fresh(code, *argv, **variables):
    """Run code in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code, *argv],
        capture_output=True, text=True, check=False, timeout=60, env={**os.environ, **variables},
    )  # fmt: skip


# ------------------------------------------------------------------------------ help


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_examples_and_a_line_for_each_option(name):
    command, ctx = context(name)
    assert command.help.strip().endswith((".", ":"))
    assert command.examples
    for section in command.sections(ctx).values():
        for what, text in section:
            assert re.search(r"\w.*[.\])]\Z", text), f"{name} {what}: {text!r}"
    listed = {what for section in command.sections(ctx).values() for what, _ in section}
    for param in command.params:
        if not getattr(param, "hidden", False):
            assert any(param.opts[0] in what or param.human_readable_name.strip("[]") in what for what in listed), param


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_is_a_command_line_that_is_understood(name):
    command, _ = context(name)
    for line in command.examples:
        (words,) = [
            words
            for part in line.split("|")
            if (words := shlex.split(part.strip().removeprefix("semantic-llm-cache "), comments=True))[0] == name
        ]
        command.make_context(name, words[1:])  # raises where the parser does not know a word


def test_the_page_of_the_docs_says_what_the_commands_say():
    done = subprocess.run(
        [sys.executable, "scripts/write_cli.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_a_word_the_help_is_shown(run):
    code, out, err = run()
    assert (code, out) == (2, "")
    assert "\nCommands:\n" in err


# ------------------------------------------------------------------------------ suggestions


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["stat"], "No such command stat. Did you mean stats? See: semantic-llm-cache --help"),
        (["invalidat"], "Did you mean invalidate?"),
        (["LS"], "Did you mean ls?"),
        (["list"], "Did you mean ls?"),
        (["delete", "x"], "Did you mean invalidate?"),
        (["xyzzy"], "No such command xyzzy. See: semantic-llm-cache --help"),
        (["ls", "--limt", "3"], "--limt. Did you mean --limit? See: semantic-llm-cache ls --help"),
        (["replay", "x", "--max-eror", "1"], "--max-error"),
        (["replay", "x", "--threshold", "0.9"], "--threshold. Did you mean --similarity?"),
        (["ls", "--threshold", "0.9"], "No such option --threshold. See: semantic-llm-cache ls --help"),
        (["explain", "-5 miles in km", "b"], "A text that begins with - goes after --, as in: explain -- TEXT."),
        (["--versoin"], "--version"),
        (["ls", "--limit"], "--limit requires an argument. See: semantic-llm-cache ls --help"),
        (["ls", "--limit", "many"], "many must be a whole number of at least 1"),
        (["report", "worng", "k"], "wrong, right"),
        (["show"], "Missing argument KEY"),
        (["ls", "--limit", "9" * 3000], "9..."),
    ],
)
def test_a_mistake_is_one_line_that_names_the_right_word(run, words, said):
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert err.startswith("semantic-llm-cache: ")
    assert err.count("\n") == 1
    assert " ".join(WORDS(said)) in " ".join(WORDS(err))
    assert len(err) < 600


def test_a_file_without_its_option_is_told_the_option(run, tmp_path):
    (tmp_path / "a.db").touch()
    code, _, err = run("ls", str(tmp_path / "a.db"))
    assert code == 2
    assert f"write --db {tmp_path / 'a.db'} to name a cache." in err
    assert "--db" not in run("ls", "no-file.db")[2]


# ------------------------------------------------------------------------------ start-up


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["--show-completion", "fish"]])
def test_starting_loads_neither_numpy_nor_asyncio_nor_rich(words):
    code = (
        "import sys\nfrom semantic_llm_cache.cli import main\n"
        f"assert main({words!r}) == 0\n"
        "print(sorted({'numpy', 'asyncio', 'rich', 'semantic_llm_cache.engine'} & set(sys.modules)))"
    )
    assert fresh(code).stdout.splitlines()[-1] == "[]"


def test_the_help_of_a_command_loads_nothing_that_it_works_with():
    code = (
        "import sys\nfrom semantic_llm_cache.cli import main\n"
        f"for name in {list(COMMANDS)!r}:\n"
        "    assert main([name, '--help']) == 0\n"
        "print(sorted({'numpy', 'asyncio', 'rich'} & set(sys.modules)))"
    )
    assert fresh(code).stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(("missing", "named"), [("click rich", "click and rich"), ("rich", "needs rich")])
def test_without_the_extra_one_line_names_it(missing, named):
    code = (
        "import sys\n"
        "for name in sys.argv[1:]: sys.modules[name] = None\n"
        "from semantic_llm_cache.cli import main\n"
        "sys.exit(main(['ls']))"
    )
    done = fresh(code, *missing.split())
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert named in done.stderr
    assert 'pip install ".[cli]"' in done.stderr


# ------------------------------------------------------------------------------ completion


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in ("ZDOTDIR", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    return tmp_path


@pytest.mark.parametrize(("shell", "startup"), [("bash", ".bashrc"), ("zsh", ".zshrc")])
def test_installing_completion_adds_one_line_to_the_startup_file(run, home, monkeypatch, shell, startup):
    (home / startup).write_bytes(b"# caf\xe9, without a line end")
    monkeypatch.setenv("SHELL", f"/bin/{shell}")
    for _ in range(2):
        code, out, err = run("--install-completion")
        assert (code, err) == (0, "")
        assert f"Completion for {shell} is installed" in out
    script = home / ".local/share/semantic-llm-cache" / f"complete.{shell}"
    lines = (home / startup).read_bytes().splitlines()
    assert lines == [b"# caf\xe9, without a line end", f"source {script}  # completion of semantic-llm-cache".encode()]
    assert script.read_text() + "\n" == run("--show-completion", shell)[1]


def test_completion_for_fish_lies_where_fish_looks(run, home):
    assert run("--install-completion", "fish")[0] == 0
    assert (home / ".config/fish/completions/semantic-llm-cache.fish").exists()


def test_a_shell_that_is_not_known_is_an_error(run, home, monkeypatch):
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    code, out, err = run("--install-completion")
    assert (code, out) == (2, "")
    assert "bash|zsh|fish" in err
    assert run("--show-completion", "tcsh")[0] == 2
    assert list(home.iterdir()) == []


def completed_in_bash(home, line):
    code = (
        'source "$HOME/.bashrc"; complete -p semantic-llm-cache >/dev/null || exit 9; '
        f"COMP_WORDS=({line}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 )); "
        '_semantic_llm_cache_completion semantic-llm-cache; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "--norc", "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_bash_completes_commands_options_and_words(run, home):
    assert run("--install-completion", "bash")[0] == 0
    program_file = Path(sys.executable).parent / "semantic-llm-cache"
    assert program_file.stat().st_mode & stat.S_IXUSR
    assert completed_in_bash(home, "semantic-llm-cache st") == ["stats"]
    assert completed_in_bash(home, "semantic-llm-cache ls --na") == ["--namespace"]
    assert completed_in_bash(home, "semantic-llm-cache report w") == ["wrong"]


def test_zsh_completes_commands_options_and_words(run, home, monkeypatch, capsys):
    script = run("--show-completion", "zsh")[1]
    assert script.startswith("#compdef semantic-llm-cache\n")
    assert "compinit" in script.splitlines()[1]
    for line, expected in (("st", "stats"), ("ls --na", "--namespace"), ("report w", "wrong")):
        words = f"semantic-llm-cache {line}"
        monkeypatch.setenv("_SEMANTIC_LLM_CACHE_COMPLETE", "zsh_complete")
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
        assert main([]) == 0
        assert capsys.readouterr().out.splitlines()[:2] == ["plain", expected]


# ------------------------------------------------------------------------------ what is shown of stored texts

LONG = "a long prompt " * 40
TRICKS = {
    "k1" * 5: entry("[red]red[/red] :smile: [link=x]y[/link]", "[bold]b[/bold]", tags=("function:app.answers.ask",)),
    "k2" * 5: entry("erase \x1b[2J\x1b]0;title\x07\r\x9b1m", "\x1b[31mred", age=30, namespace="n\x1b[1m[red]"),
    "k3" * 5: entry(LONG, "x", age=20, namespace="a namespace of more than thirty characters", scope="5f3a91c2d4e6"),
}


@pytest.fixture
def tricks(tmp_path):
    fill(tmp_path / "t.db", TRICKS, {"a namespace of more than thirty characters": {"hits": 1}, "n\x1b[1m[red]": {}})
    return str(tmp_path / "t.db")


def test_a_pipe_gets_all_of_it_in_plain_text(run, tricks):
    out = run("ls", "--db", tricks)[1]
    assert "\x1b" not in out
    assert "…" not in out
    assert out.splitlines()[1].endswith(LONG.strip())
    assert "[red]red[/red] :smile: [link=x]y[/link]" in out
    assert "erase \\x1b[2J\\x1b]0;title\\x07\\r\\x9b1m" in out
    out = run("stats", "--db", tricks)[1]
    assert "a namespace of more than thirty characters" in out
    assert "\x1b" not in out


@pytest.mark.parametrize(
    "words",
    [["ls"], ["stats"], ["show", "k1"], ["show", "k2"], ["explain", TRICKS["k1" * 5].prompt, "--embedder", "dummy"]],
)
@pytest.mark.parametrize("variables", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_a_terminal_shows_markup_and_escapes_as_they_are(tricks, words, variables):
    shown = terminal_output(lambda: main([*words, "--db", tricks]), columns=80, **variables)
    assert ("\x1b" in shown) is (not variables)
    plain = CODES.sub("", shown)
    assert "\x1b" not in plain
    assert "\x9b" not in plain
    assert "😄" not in plain
    if words[0] in ("ls", "show"):
        assert "[red]red[/red] :smile:" in plain or "erase \\x1b[2J" in plain


def test_scopes_say_who_asked(run, tmp_path):
    path = tmp_path / "s.db"
    fill(
        path,
        {
            "f" * 10: entry("one", "1", tags=("function:app.answers.ask", "faq"), scope="5f3a91c2d4e6f708"),
            "m" * 10: entry("two", "2", age=30, namespace="chat", tags=("model:gpt-x",), scope="0badc0de11112222"),
        },
    )
    out = run("ls", "--db", path)[1]
    assert re.search(r"  chat gpt-x 0badc0de  +two$", out, re.MULTILINE)
    assert re.search(r"  app.answers.ask 5f3a91c2  +one$", out, re.MULTILINE)
    out = run("show", "mm", "--db", path)[1]
    assert "model       gpt-x\n" in out
    assert "scope       0badc0de11112222\n" in out
    assert "function    app.answers.ask\n" in run("show", "ff", "--db", path)[1]
    out = run("explain", "two", "--db", path, "--embedder", "dummy")[1]
    assert "namespace chat, model gpt-x, scope 0badc0de, key mmmmmmmmmm" in out


# ------------------------------------------------------------------------------ prices


def test_stats_names_the_prices_behind_the_savings(run, tmp_path):
    path = tmp_path / "p.db"
    tokens = {"input_tokens": 1000, "output_tokens": 500}
    fill(path, {"a": entry("a", "b", cost_usd=0.002, **tokens)}, {"default": {"hits": 1, "saved_usd": 0.002}})
    out = run("stats", "--db", path)[1]
    assert out.splitlines()[-1] == "Prices: default rates, $0.001 per 1,000 tokens in and $0.002 out."
    fill(path, {"b": entry("c", "d", namespace="other", cost_usd=1.5, **tokens)})
    assert "  other: prices that the programs gave, on average $1 per 1,000 tokens\n" in run("stats", "--db", path)[1]
    assert "other" not in run("stats", "--db", path, "--namespace", "default")[1]
    fill(tmp_path / "q.db", {"a": entry("a", "b")}, {"default": {"hits": 1}})
    assert "Prices: unknown" in run("stats", "--db", tmp_path / "q.db")[1]


def test_prices_are_read_off_some_entries_of_a_large_cache(run, tmp_path, monkeypatch):
    from semantic_llm_cache.cli import stats

    monkeypatch.setattr(stats, "_SAMPLE", 3)
    path = tmp_path / "p.db"
    fill(
        path,
        {f"k{n}": entry(f"{n}", "b", input_tokens=1000, cost_usd=0.001) for n in range(9)},
        {"default": {"hits": 1}},
    )
    code, out, err = run("stats", "--db", path, "--json")
    assert (code, err) == (0, "")
    assert '"calls": 3' in out
    assert '"default": true' in out
