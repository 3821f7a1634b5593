"""The caches of a proxy: one for each set of rules that apply together."""

from semantic_llm_cache import SemanticCache
from semantic_llm_cache.server.proxy.doors import Doors, Rule


def lettered_rules(count):
    """Rules of which a model's name chooses any set: each is for the models with its letter."""
    return [Rule(letter, {"model": f"*{letter}*"}, {"ttl": 60}) for letter in "abcdefgh"[:count]]


def test_rules_that_overlap_make_no_more_caches_than_the_bound(monkeypatch, caplog):
    monkeypatch.setattr("semantic_llm_cache.server.proxy.doors.MOST_COMBINED", 5)
    doors = Doors(SemanticCache("memory://"), {}, lettered_rules(4))

    def find(model):
        return doors.find("default", "openai.chat", str, model)

    pairs = [find(model) for model in ("ab", "ac", "ad", "bc", "bd")]
    assert len({id(door) for door in pairs}) == 5
    assert not caplog.text
    beyond = [find(model) for model in ("cd", "abc", "abcd")]
    assert len({id(door) for door in beyond}) == 1
    assert not beyond[0].engine.settings().enabled
    assert caplog.text.count("more than 5 combinations of rules") == 1
    # Those that were made before go on, as do the single rules.
    assert [find(model) for model in ("ab", "ac", "ad", "bc", "bd")] == pairs
    assert all(find(model).engine.settings().enabled for model in ("ab", "a", "b", "c", "d", ""))


def test_all_caches_of_a_proxy_keep_parsed_requests_in_one_table():
    doors = Doors(SemanticCache("memory://"), {}, [Rule("a", {"model": "a"}, {"ignore": ["user"]})])
    first, second = (doors.find("default", "openai.chat", str, model) for model in ("a", "b"))
    assert first.recent is second.recent
    url, asked = (
        "http://h/v1/chat/completions",
        [b'{"model":"m","user":"%d","messages":[{"role":"user","content":"hi"}]}' % number for number in (1, 2)],
    )
    for _ in range(2):
        keys = [[door.plan("POST", url, [], body).request.key for body in asked] for door in (first, second)]
        assert keys[0][0] == keys[0][1]  # `user` is ignored by one of them
        assert len({keys[0][0], *keys[1]}) == 3
