"""The settings of the server: where they come from, and what is said of wrong ones."""

import pathlib
import subprocess
import sys

import pytest

from semantic_llm_cache.server import ServerSettingsError, Settings, create_app, load_settings
from semantic_llm_cache.server.loading import HANDOVER_VARIABLE, PREFIX

URL = "https://api.openai.com/v1"
ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "proxy.toml"
        path.write_text(text)
        return str(path)

    return write


def fault(flags=None, config=None):
    with pytest.raises(ServerSettingsError) as caught:
        load_settings(flags, config)
    return str(caught.value)


def test_flags_prevail_over_the_environment_and_that_over_the_file(write, monkeypatch):
    path = write(f'upstream = "{URL}"\nport = 1\nsimilarity = 0.5\nttl = "1m"\nhost = "::1"\n')
    monkeypatch.setenv(f"{PREFIX}PORT", "2")
    monkeypatch.setenv(f"{PREFIX}SIMILARITY", "0.6")
    found = load_settings({"similarity": 0.7}, path)
    assert (found.port, found.similarity, found.ttl, found.host) == (2, 0.7, "1m", "::1")
    monkeypatch.setenv(f"{PREFIX}CONFIG", path)
    assert load_settings().host == "::1"


def test_upstreams_in_each_form(write, monkeypatch):
    expected = {"default": URL, "anthropic": "https://api.anthropic.com"}
    monkeypatch.setenv(f"{PREFIX}UPSTREAM", f"{URL} anthropic=https://api.anthropic.com")
    tables = f'[upstream.default]\nurl = "{URL}"\n[upstream.anthropic]\nurl = "https://api.anthropic.com"\n'
    for found in (
        load_settings({"upstream": [URL, "anthropic=https://api.anthropic.com"]}),
        load_settings({"upstream": expected}),
        load_settings(),
        load_settings(config=write(tables)),
        load_settings(config=write(f'upstream = ["{URL}", "anthropic=https://api.anthropic.com"]')),
    ):
        assert {name: upstream.url for name, upstream in found.upstream.items()} == expected


def test_variables_hold_lists_numbers_and_tables(monkeypatch):
    for name, value in {
        "UPSTREAM": URL,
        "TTL": "90",
        "IGNORE": "user, metadata",
        "SHARE_ACROSS_KEYS": "true",
        "RULES": '[{"name": "a", "model": "gpt-*", "ttl": 0}]',
    }.items():
        monkeypatch.setenv(PREFIX + name, value)
    found = load_settings()
    assert (found.ttl, found.ignore, found.share_across_keys) == (90.0, ["user", "metadata"], True)
    assert found.rules[0].options() == {"ttl": 0.0}


WRONG = [
    ("port = 1", "no upstream is given"),
    (f'upstreams = "{URL}"', "unknown setting 'upstreams': did you mean 'upstream'?"),
    (f'upstream = "{URL}"\n[[rules]]\nmodel = "x"', "rules.0.name: is missing"),
    (f'upstream = "{URL}"\nsimilarty = 0.9', "unknown setting 'similarty': did you mean 'similarity'?"),
    (f'upstream = "{URL}"\nsimilarity = 1.5', "similarity: similarity=1.5 must lie from 0 to 1"),
    (f'upstream = "{URL}"\nttl = "soon"', "ttl: ttl='soon' cannot be read"),
    (f'upstream = "{URL}"\nguards = ["nubmers"]', "guards: "),
    (f'upstream = "{URL}"\nport = 70000', "port: "),
    (f'upstream = "{URL}"\nneutral_headers = ["authorization"]', "neutral_headers: "),
    (f'upstream = "{URL}"\n[[rules]]\nname = "a"\nttl = 1', "rules.0: a rule needs one of upstream, route, model"),
    (
        f'upstream = "{URL}"\n[[rules]]\nname = "a"\nmodell = "x"',
        "rules.0: unknown setting 'modell': did you",
    ),
    (f'upstream = "{URL}"\ntenant_header = "x-t"', "tenant_header needs trusted_proxies"),
    (f'upstream = "{URL}"\nonly_known_tenants = true', "only_known_tenants needs tenants"),
    (f'upstream = "{URL}"\n[tenants.a]\nkeys_sha256 = ["sk-secret"]', "tenants.a.keys_sha256: must be SHA-256"),
    ('upstream = "ftp://host/"', "upstream.default.url: must be a URL that begins with http"),
    ('upstream = "https://me:sk-secret@host/"', "upstream.default.url: must hold no user or password"),
    ('upstream = "https://host/v1?key=sk-secret"', "upstream.default.url: must end with its path"),
    ('[upstream.default]\nurl = "https://h"\nkey_env = "sk-secret"', "key_env: must be the name of an environment"),
    ('[upstream.default]\nurl = "https://h"\nkey = "sk-secret"', "unknown setting 'key'"),
    ('upstream = ["https://a", "https://b"]', "upstream: names 'default' twice"),
    ("upstream = 7", "upstream: "),
    (f'upstream = "metrics={URL}"', "the name 'metrics' is taken"),
    (f'upstream = "{URL}"\nread_timeout = inf', "read_timeout: Input should be a finite number"),
    (f'upstream = "{URL}"\nreplay_delay = -1', "replay_delay: "),
    (f'upstream = "{URL}"\nmax_temperature = nan', "max_temperature: "),
    (f'upstream = "{URL}"\n[tenants.a]\nkeys_sha256 = []', "tenants.a.keys_sha256: "),
    *(
        (f'upstream = "{URL}"\ntrusted_proxies = ["::1"]\ntenant_header = "{name}"', "has another meaning")
        for name in ("Host", "content-length", "authorization", "x-api-key", "x-cache-control", "connection", "via")
    ),
    (
        '[upstream.default]\nurl = "https://h"\nkey_header = "Content-Length"',
        "key_header: 'content-length' has another",
    ),
    (f'upstream = "{URL}"\n[[rules]]\nname = "proxy"\nmodel = "m"', "rules.0.name: the name 'proxy' is taken"),
    ("upstream = ", "is not TOML"),
]


def test_only_tables_and_lists_are_read_as_json():
    assert load_settings({"upstream": URL, "host": "[::1]"}).host == "[::1]"
    assert "--set rules is not JSON" in fault({"upstream": URL, "rules": "[" * 100_000})


@pytest.mark.parametrize(("text", "words"), WRONG, ids=lambda value: value[-40:])
def test_each_wrong_key_is_named_with_the_file_and_what_to_do(write, text, words):
    path = write(text)
    said = fault(config=path)
    assert words in said
    assert "sk-secret" not in said
    if "no upstream" not in words:
        assert path in said


def test_a_missing_upstream_hides_no_other_fault(write):
    text = fault(config=write("similarity = 1.5"))
    assert "no upstream is given" in text
    assert "similarity: similarity=1.5 must lie" in text
    assert len(text.splitlines()) == 2


def test_every_wrong_key_has_a_line_that_says_where_it_is_from(write, monkeypatch):
    monkeypatch.setenv(f"{PREFIX}PORT", "x")
    lines = fault({"similarity": "much"}, write(f'upstream = "{URL}"\nttl = "x"')).splitlines()
    assert len(lines) == 3
    assert [line.partition(": ")[0].rpartition("/")[2] for line in sorted(lines)] == sorted(
        ["proxy.toml", "the command line", "the environment"], key=lambda name: (name != "proxy.toml", name)
    )
    monkeypatch.setenv(f"{PREFIX}PRT", "1")
    assert "unknown setting 'prt'" in fault({"upstream": URL})


def test_a_file_that_is_not_there(tmp_path):
    assert "cannot be read: No such file" in fault(config=str(tmp_path / "none.toml"))


def test_workers_get_the_settings_of_their_parent(monkeypatch):
    given = Settings(upstream=URL, rules=[{"name": "a", "model": "x", "ttl": None}], max_error=0.01)
    monkeypatch.setenv(HANDOVER_VARIABLE, given.model_dump_json(exclude_unset=True))
    found = load_settings()
    assert found == given
    assert found.rules[0].options() == {"ttl": None}
    assert found.options() == {"max_error": 0.01}


def test_an_error_budget_of_a_rule_has_a_namespace_of_its_own(monkeypatch):
    rules = [{"name": "careful", "model": "gpt-*", "max_error_per_hit": 0.01, "similarity": 0.8}]
    doors = create_app(Settings(upstream=URL, url="memory://", similarity=0.9, rules=rules)).doors
    names = [doors.find("default", "openai.chat", str, m).engine.namespace for m in ("gpt-4", "other")]
    assert names == ["default/careful", "default"]


def test_the_page_lists_every_setting():
    done = subprocess.run(
        [sys.executable, "scripts/write_proxy.py", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
