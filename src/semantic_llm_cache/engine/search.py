"""Looking for an answer: exact, then near."""

from __future__ import annotations

from dataclasses import replace

from semantic_llm_cache.calls.evidence import MASKED_TAG
from semantic_llm_cache.calls.identity import Place
from semantic_llm_cache.config import SCHEMA_VERSION, CacheEntry
from semantic_llm_cache.engine.access import Access, Storage
from semantic_llm_cache.engine.call import Call
from semantic_llm_cache.engine.grounds import Grounds
from semantic_llm_cache.engine.learning import Learning
from semantic_llm_cache.engine.notices import Notices
from semantic_llm_cache.engine.options import Options
from semantic_llm_cache.engine.outcome import Found, Outage, Unreadable
from semantic_llm_cache.exceptions import CacheBackendError, CacheSerializationError, PromptCacheError
from semantic_llm_cache.keys.request import key_of_text
from semantic_llm_cache.matching.decider import Choice, Decider
from semantic_llm_cache.redaction import describe
from semantic_llm_cache.runtime.yielding import turn
from semantic_llm_cache.storage.records import Candidate
from semantic_llm_cache.values.offload import is_large, opened

__all__ = ["Search"]

_IN_RESERVE = 8
_TIE = 1 - 1e-4
NO_ENTRY = "no entry under this key"
NO_ENTRY_EXACT = f"{NO_ENTRY}, and near matching is off (similarity=1)"


class _Same(Exception):
    """A search by meaning came upon an entry with the same text: nothing is left to decide."""

    def __init__(self, candidate: Candidate) -> None:
        super().__init__()
        self.candidate = candidate


class Search:
    """Looks for the answers of one engine.

    Args:
        options: the engine's options.
        access: to storage and embedder.
        decider: chooses among near entries.
        learning: holds the error budget.
        grounds: checks what answers rest on.
        notices: logs problems.
    """

    def __init__(
        self, options: Options, access: Access, decider: Decider, learning: Learning, grounds: Grounds, notices: Notices
    ) -> None:
        self.grounds = grounds
        self._options = options
        self._access = access
        self._decider = decider
        self._learning = learning
        self._notices = notices
        self._window = options.stale_window

    async def find(self, call: Call, *, probing: bool = False, exact: bool = True) -> Found:
        """Look for an answer, and set `call.found`, which is also returned.

        Args:
            call: the call.
            probing: leave the error budget unchanged.
            exact: False skips the entry under this exact key.
        """
        if call.watch is None:
            return await self._find(call, probing, exact)
        with call.watch.looking():
            return await self._find(call, probing, exact)

    async def _find(self, call: Call, probing: bool, exact: bool) -> Found:
        storage = self._access.storage()
        if not storage.backend.in_process:
            await turn()  # handing over to a thread or a socket takes a twentieth of a millisecond
        found = call.found = Found("miss", NO_ENTRY if call.settings.similarity < 1 else NO_ENTRY_EXACT)
        try:
            if call.settings.evidence is not None:
                await self.grounds.resolve(call)
            await self._look(storage, call, probing, exact)
        except Outage as outage:
            found.outcome, found.reason = "error", str(outage)
        except PromptCacheError:
            raise
        except Exception as error:  # an entry with damaged fields, a guard that fails
            reason = f"the lookup failed: {describe(error)}"
            if self._options.on_error == "raise":
                raise CacheBackendError(reason) from error
            self._notices.log_once("find", f"a lookup failed ({describe(error)}); the function is called")
            call.found = replace(found, outcome="error", reason=reason, choice=None)
        return call.found

    def may_wait(self, call: Call) -> bool:
        """Return whether `find` may have to wait for something outside this thread."""
        return not self._access.backend.in_process or call.settings.similarity < 1 or call.settings.evidence is not None

    async def _look(self, storage: Storage, call: Call, probing: bool, exact: bool) -> None:
        found, front = call.found, storage.backend.front
        generation = 0 if front is None else front.generation
        try:
            text = self._access.unknown_text(call)
            if text is None:
                entry = await storage.get(call.request.key)
            else:
                entry = await storage.recall(call.request.key, text, found)
        except Outage as outage:
            found.unread = not isinstance(outage, Unreadable)
            raise
        if not call.settings.asks.may_look:
            found.reason = "no-cache was asked for"
            if call.needs_vector:
                self._access.reuse(entry, call)
                await self._embed(call)  # the fresh answer is stored with this vector
            return
        same = None
        if exact and entry is not None and self._fits(entry, call) and await self._rests(entry, call):
            same = Candidate(call.request.key, entry, 1.0)
        if (same is None or not await self._take(call, same, probing)) and call.settings.similarity < 1:
            self._access.reuse(entry, call)
            try:
                await self._look_near(storage, call, probing)
            except _Same as meanwhile:
                same = meanwhile.candidate
                await self._take(call, same, probing)
        if found.outcome == "exact" and front is not None:
            assert same is not None
            if same.key == call.request.key and not is_large(same.entry.response):  # keeping it means writing it again
                front.put(same.key, same.entry, generation)

    async def _take(self, call: Call, same: Candidate, probing: bool) -> bool:
        """Take an entry with the same text; return False if its answer cannot be read."""
        found, entry = call.found, same.entry
        try:
            found.value = await opened(entry.response, call.settings.target)
        except CacheSerializationError as error:
            found.reason = str(error)
            return False
        found.outcome, found.reason = "exact", "same text, same scope"
        found.entry, found.entry_key, found.similarity = entry, same.key, 1.0
        found.place = Place(same.key, entry.created_at)
        if same.key != call.request.key and entry.prompt != call.request.text:
            found.reason, found.similarity = "same text as an alias of the entry", same.similarity
        found.late = self.late(entry)
        if found.late >= 0:
            found.outcome, found.reason = "stale", f"{found.late:.0f} s past its time"
        elif self._decider.bounded and not probing:
            (await self._learning.policy(self._budget(call))).count_exact()
        return True

    # ------------------------------------------------------------------------------ near

    async def _look_near(self, storage: Storage, call: Call, probing: bool) -> None:
        found, watch = call.found, call.watch
        if not call.request.text:
            found.reason = "no text to compare"
            return
        await self._embed(call)
        if found.vector is None:
            return
        if storage.backend.in_process:
            await turn()  # the search runs here, and a batch of embeddings lets many calls continue at once
        choice = found.choice = await self._choose(storage, call, probing)
        if watch is not None:
            watch.mark("decide")
        found.reason = choice.reason
        if choice.candidate is None and found.objection:
            found.reason = found.objection
        shown = choice.candidate or choice.nearest
        if shown is not None:
            found.similarity, found.nearest_prompt = shown.similarity, shown.entry.prompt
        chosen = choice.candidate
        if chosen is None:
            return
        try:
            found.value = await opened(chosen.entry.response, call.settings.target)
        except CacheSerializationError as error:
            found.reason = str(error)
            return
        found.outcome, found.entry, found.entry_key = "near", chosen.entry, chosen.key
        found.place = Place(chosen.key, chosen.entry.created_at)

    async def _embed(self, call: Call) -> None:
        """Set the vector of the call's text: see `Access.embed_request`."""
        watch = call.watch
        if watch is not None:
            watch.mark()
        try:
            await self._access.embed_request(call)
        finally:
            if watch is not None:
                watch.mark("embed")

    async def _choose(self, storage: Storage, call: Call, probing: bool) -> Choice:
        request, decider = call.request, self._decider

        async def search(k: int, threshold: float) -> list[Candidate]:
            watch = call.watch
            if watch is None:
                return await look(k, threshold)
            watch.mark("decide" if watch.searched else "")
            try:
                return await look(k, threshold)
            finally:
                watch.mark("search")

        async def look(k: int, threshold: float) -> list[Candidate]:
            # Some may rest on what has changed; they must not hide a live entry that is a little farther.
            # Or be too old for the category.
            settings = call.settings
            most = k if settings.evidence is None and settings.most_age is None else max(k, _IN_RESERVE)
            candidates = await storage.candidates(call.found, threshold, most, request.scope_hash)
            fitting = [candidate for candidate in candidates if self._fits_near(candidate.entry, call)]
            if call.settings.evidence is not None:
                fitting = await self._resting(fitting, call)
            if settings.most_age is not None:
                fitting = self._recent(fitting, call, settings.most_age)
            fitting = fitting[:k]
            same = await self._same(storage, call, fitting)
            if same is not None:
                raise _Same(same)
            return fitting

        if not decider.bounded:
            similarity = call.settings.similarity
            return await decider.choose(request, similarity, search, self._access.vectors, self._notices)
        category = self._budget(call)
        policy = await self._learning.policy(category)
        if probing:
            trial = self._learning.new_policy(category)
            trial.load(policy.to_bytes())
            policy = trial
        return await decider.choose_online(request.key, request.text, policy, search)

    def _budget(self, call: Call) -> str | None:
        """Return the category of a call if it has an error budget of its own."""
        return self._learning.categories.budget_of(call.request.text, call.settings.category)

    async def _same(self, storage: Storage, call: Call, candidates: list[Candidate]) -> Candidate | None:
        """Return an entry with the very text that is asked, which the search by key did not find.

        Another process may have stored it while the text was embedded. Or it is the answer to this text, stored
        under another wording.
        """
        request = call.request
        for candidate in candidates:
            if candidate.key == request.key:
                return candidate
            if request.text in (candidate.entry.prompt, *candidate.entry.aliases):
                # Where `key_func` gives the keys, equal texts with unequal keys are different questions.
                if request.key == key_of_text(request.scope_hash, request.text):
                    return candidate
        if candidates and candidates[0].similarity > _TIE:  # its own entry would be as near as this one
            entry = await storage.get(request.key)
            fits = entry is not None and self._fits(entry, call) and self.late(entry) < 0
            if entry is not None and fits and await self._rests(entry, call):
                return Candidate(request.key, entry, 1.0)
        return None

    # ------------------------------------------------------------------------------ which entries fit

    def _fits(self, entry: CacheEntry, call: Call) -> bool:
        now = self._access.clock()
        if not call.settings.asks.may_serve(entry, now):
            return False
        return entry.schema_version == SCHEMA_VERSION and not entry.is_expired(now)

    async def _rests(self, entry: CacheEntry, call: Call) -> bool:
        """Return whether all that the entry under the exact key rests on is as it was."""
        if call.settings.evidence is None:
            return True
        objection = await self.grounds.objection(entry, call, {})
        if objection is not None:
            call.found.reason = objection
        return objection is None

    async def _resting(self, candidates: list[Candidate], call: Call) -> list[Candidate]:
        """Return the candidates whose answers still rest on the same."""
        asked: dict[str, str | None] = {}
        kept = []
        for candidate in candidates:
            objection = await self.grounds.objection(candidate.entry, call, asked)
            if objection is None:
                kept.append(candidate)
            elif candidate.similarity >= call.settings.similarity:
                call.found.objection = call.found.objection or objection
        return kept

    def _recent(self, candidates: list[Candidate], call: Call, most_age: float) -> list[Candidate]:
        """Return the candidates that are not too old for the call's category."""
        now, kept = self._access.clock(), []
        for candidate in candidates:
            age = now - candidate.entry.created_at
            if age < most_age or candidate.key == call.request.key:
                kept.append(candidate)
            elif candidate.similarity >= call.settings.similarity and not call.found.objection:
                call.found.objection = (
                    f"{call.settings.category}: the answer is {age:.0f} s old, more than {most_age:g} s"
                )
        return kept

    def _fits_near(self, entry: CacheEntry, call: Call) -> bool:
        # The scope decides who may see an answer, so it is checked here too, whatever the backend.
        if entry.scope != call.request.scope_hash or entry.embedder != call.found.embedder:
            return False
        if MASKED_TAG in entry.tags:
            return False  # its text is not what was asked; it has no vector, unless somebody gave it one
        return self._fits(entry, call) and self.late(entry) < 0

    def late(self, entry: CacheEntry) -> float:
        """Return how many seconds ago an entry expired; entries are kept for the stale window."""
        if entry.ttl is None or not self._window:
            return -1.0
        return self._access.clock() - (entry.created_at + entry.ttl - self._window)

    # ------------------------------------------------------------------------------ what another process stored

    async def answered(self, call: Call) -> Found | None:
        """Return the answer that another process has stored under this exact key."""
        found = await self.find(call.exact())
        if found.outcome != "exact":
            return None
        found.outcome, found.reason = "coalesced", "another process was making the same call"
        found.similarity = None
        return found

    async def is_fresh(self, call: Call) -> bool:
        """Return whether a fresh answer is stored under this exact key now."""
        return (await self.find(call.exact(), probing=True)).outcome == "exact"
