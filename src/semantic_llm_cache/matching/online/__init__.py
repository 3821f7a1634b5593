"""The online policy: serve, explore or miss, so that the share of wrong answers stays within a bound.

How the engine uses it::

    policy = OnlinePolicy(max_error=0.02)            # or max_error_per_hit=, or both; floor=similarity
    raw = await backend.get_state(name)              # name: one per namespace and embedder fingerprint
    if raw is not None:
        policy.load(raw)                             # CacheSerializationError: warn and go on without

    policy.count_exact()                             # the exact tier answered
    decision = policy.decide(prompt, candidates)     # it did not: the 16 nearest from `policy.reach` on
    if decision.action == "serve":
        ...                                          # answer with the entry `decision.key`; store nothing
    else:                                            # "explore" or "miss": call the function
        fresh = call()
        if decision.key is not None:                 # compare on a miss too: it is free evidence
            correct = same_answer(fresh, stored answer of decision.key)    # True, False, or a probability
            policy.observe(decision, correct)
            # If correct: policy.join(fresh answer's fingerprint, that of the stored one), so that they vote together.
        if decision.twice:                           # with noise="measure": how far do two fresh answers differ?
            policy.observe_noise(decision, same_answer(call(), fresh))
        # store the prompt under its own key and vector with the fresh answer; or, where the judge is taken to be
        # right (`judge_error` 0), with the candidate's stored one, an alias of it
    policy.report(decision, correct)                 # later, when a person says so (report_wrong/_right)
    await backend.set_state(name, policy.to_bytes()) # now and then, and at close

- `CandidateView.answer` is a fingerprint of the stored answer: equal exactly when two entries hold the
  same one; a hash of the encoded response is enough. The policy knows which fingerprints were joined. Whether
  neighbours agree on an answer is the best evidence available.
- Call `decide` or `count_exact` exactly once per request: `max_error` is a share of their sum. A caller who
  joins a call in flight under the same key counts as exact; one who joins by meaning gets that
  call's answer because of a cosine and must not bypass the policy: decide first.
- Do not observe a call that failed after "explore" or "miss"; nothing else is needed.
- In shadow mode call `decide`, always call the function, and `observe` whatever the action was.
- Decisions take no lock but the policy's own, wait for nothing and may be made on the event loop.
"""

from semantic_llm_cache.matching.online.decision import Decision
from semantic_llm_cache.matching.online.features import FEATURE_NAMES, CandidateView
from semantic_llm_cache.matching.online.policy import OnlinePolicy

__all__ = ["FEATURE_NAMES", "CandidateView", "Decision", "OnlinePolicy"]
