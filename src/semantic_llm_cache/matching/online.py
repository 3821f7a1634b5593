"""`OnlinePolicy`: serve, explore or miss, so that the share of wrong answers keeps to a bound.

CONTRACT (for the engine; the code below it is being written)

    policy = OnlinePolicy(max_error=0.02)                 # or max_error_per_hit=, or both
    # exact tier answered (it is counted as a request, and as one that is always right):
    policy.count_exact()
    # otherwise, with the k nearest candidates (k = 16 is what it was tuned with; fewer work):
    decision = policy.decide(prompt, [CandidateView(key, similarity, answer, prompt, features), ...])
    if decision.action == "serve":     # answer with the entry under decision.key; store nothing
        ...
    else:                              # "explore" or "miss": call the function
        fresh = call()
        if decision.key is not None:   # there was a candidate: compare, on "miss" as on "explore"
            correct = same_answer(fresh, response under decision.key)
            policy.observe(decision, correct)
        # store the prompt: as an alias (own key and vector, the *candidate's* stored response)
        # when correct, else with the fresh answer.
    # later, from people: policy.report(decision, correct)   (report_wrong / report_right)
    # saved now and then and at close: backend.set_state(name, policy.to_bytes())

- `CandidateView.answer` is any hashable fingerprint (str) of the stored answer. Entries that are aliases of
  one answer must carry the same one: because an alias is stored with the candidate's own response, a hash of
  the encoded response does it. Neighbours that agree or disagree on it are the policy's best evidence.
- Candidates below the floor are ignored by the policy; pass `similarity >= policy.floor` only.
- An empty list: `Decision("miss", key=None)`. It is counted as a request. Call `decide` exactly once per
  request that the exact tier did not answer (also with no candidate), `count_exact` once for the others.
- A call that fails after "explore" or "miss": do not observe. Nothing else is needed.
- A caller who joins another's call in flight (coalesced): neither decide again nor observe; `count_exact()`
  if it is the same key.
- `features` (optional, per candidate): a fixed-length vector from the guards, 1.0 where a guard would veto;
  `OnlinePolicy(extra_features=n)` says its length.
- Thread-safe, no I/O, no await: call it on the loop.
"""
