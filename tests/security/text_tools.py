"""For attacks on the text inside one scope: does an answer cross from one text to the other?"""

import itertools

from semantic_llm_cache import Request, SemanticCache

_scopes = itertools.count()


class Crossing:
    """A cache with the default guards and the real embedder, asked whether two texts share an answer."""

    def __init__(self, similarity=0.85, **options):
        self.engine = SemanticCache("memory://", similarity=similarity, **options)

    async def one_way(self, stored, asked):
        """Store an answer for one text, look it up with the other; return the lookup if it is a hit, else None."""
        scope = next(_scopes)
        await self.engine.store(Request("n", scope, stored), "the stored answer")
        found = await self.engine.lookup(Request("n", scope, asked))
        return found if found.hit else None

    async def ways(self, clean, attack):
        """Return the directions in which an answer crosses.

        "poisoned": the attack came first, and the clean text is served its answer. "fished": the clean text came
        first, and the attack is served its answer.
        """
        found = []
        if await self.one_way(attack, clean):
            found.append("poisoned")
        if await self.one_way(clean, attack):
            found.append("fished")
        return found

    async def all_crossings(self, pairs):
        """Return (directions, attack) of all pairs that cross."""
        return [(ways, attack) for clean, attack in pairs if (ways := await self.ways(clean, attack))]
