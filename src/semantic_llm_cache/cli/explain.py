"""`semantic-llm-cache explain`: why a prompt is, or is not, answered from the cache."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from semantic_llm_cache.cli.common import CommandError, cache_options, namespace_option, open_backend, run_async
from semantic_llm_cache.cli.logs import embedder_option, guards_option, make_embedder, make_guards
from semantic_llm_cache.cli.output import age, clean, dim, print_json, say
from semantic_llm_cache.cli.parsing import COUNT, SIMILARITY, Args, argument, command, option

if TYPE_CHECKING:
    from semantic_llm_cache.matching.guards import Veto
    from semantic_llm_cache.matching.objections import PairCheck
    from semantic_llm_cache.similarity import EmbeddingProvider
    from semantic_llm_cache.storage.contract import StorageBackend
    from semantic_llm_cache.storage.records import Candidate

__all__ = ["explain_command"]

_SIMILARITY = 0.95
_NOT_NEAREST = "would match, but a nearer one is served"
_CANDIDATES = 8  # as many as the engine compares in one scope


@command(
    "explain",
    'explain "5 miles in km" "6 miles in km"',
    'explain "How do I reset it?" --db cache.db',
    'explain "How do I reset it?" --db cache.db --k 10 --json',
)
@argument("prompt", help="The text asked.")
@argument("other", required=False, help="The text to compare it with.")
@option("--similarity", type=SIMILARITY, default=_SIMILARITY, metavar="S", help="Threshold.")
@guards_option
@embedder_option
@option("--k", type=COUNT, default=5, metavar="N", help="Entries to show.")
@cache_options()
@namespace_option
def explain_command(args: Args) -> int:
    """Say why a prompt is, or is not, answered from the cache.

    With two texts: their cosine, every guard that objects, and the verdict. With one text and a cache: the nearest
    entries of all scopes, and what would be served.
    """
    from semantic_llm_cache.keys.request import clean_text
    from semantic_llm_cache.matching.objections import PairCheck

    if args.other is not None and (args.db is not None or args.url is not None):
        raise CommandError("explain compares two texts, or one text with a cache: leave out OTHER or --db", code=2)
    args.prompt = clean_text(args.prompt)
    if not args.prompt or (args.other is not None and not clean_text(args.other)):
        raise CommandError("there is no text to explain: it is empty", code=2)
    guards = make_guards(args.guards)
    if args.other is None:
        return run_async(_in_cache(args, guards))
    args.other = clean_text(args.other)
    embedder = make_embedder(args.embedder)
    _pair(args, embedder, PairCheck(guards, embedder.encode_batch, embedder))
    return 0


# ------------------------------------------------------------------------------ two texts


def _pair(args: Args, embedder: EmbeddingProvider, check: PairCheck) -> None:
    first, second = embedder.encode_batch([args.prompt, args.other])
    found = min(1.0, max(0.0, float(first @ second)))
    objections = check.all(args.prompt, args.other)
    unread = [name for name in ("prompt", "other") if not embedder.readable(getattr(args, name))]
    verdict, reason = _verdict(found, args.similarity, objections)
    if args.prompt == args.other:
        verdict, reason = "exact", "same text: an exact hit where the scope is the same too"
    elif unread:
        from semantic_llm_cache.similarity.unseen import why_unreadable

        verdict, reason = "different", why_unreadable(getattr(args, unread[0]))
    if args.json:
        print_json(
            {
                "prompt": args.prompt,
                "other": args.other,
                "similarity": found,
                "threshold": args.similarity,
                "guards": list(check.guards.names),
                "objections": [veto.__dict__ for veto in objections],
                "verdict": verdict,
                "reason": reason,
            }
        )
        return
    say(f"similarity  {found:.4f}, threshold {args.similarity:g}")
    unseen = [veto for veto in objections if veto.rule == "unseen"]
    asked = [veto for veto in objections if veto.rule != "unseen"]
    for veto in unseen:
        say(f"unseen      {clean(veto.reason)}")
    if not len(check.guards):
        say("guards      none asked")
    elif not asked:
        say(f"guards      none of {len(check.guards)} objects")
    for i, veto in enumerate(asked):
        say(f"{'guards' if i == 0 else '':10}  {veto.rule}: {clean(veto.reason)}")
    say(f"verdict     {_painted(verdict)}: {clean(reason)}")


def _verdict(found: float, threshold: float, objections: list[Veto]) -> tuple[str, str]:
    from semantic_llm_cache.similarity.base import THRESHOLD_TOLERANCE

    if found < threshold - THRESHOLD_TOLERANCE:
        return "different", f"similarity {found:.3f} < {threshold:g}"
    if objections:
        return "different", f"veto: {objections[0].reason}"
    return "same", f"similarity {found:.3f} >= {threshold:g}, and no guard objects"


def _painted(verdict: str) -> str:
    return click.style(verdict, fg="red" if verdict == "different" else "green")


# ------------------------------------------------------------------------------ one text, a cache


async def _in_cache(args: Args, guards: Any) -> int:
    import asyncio

    from semantic_llm_cache.matching.objections import PairCheck

    try:
        opened = open_backend(args)
        async with opened as backend:
            embedder = make_embedder(args.embedder)
            check = PairCheck(guards, embedder.encode_batch, embedder)
            exact, others = await _scan(backend, args, embedder)
            near: list[Candidate] = []
            readable = embedder.readable(args.prompt)
            served: dict[str, Candidate | None] = {}
            if readable:
                vector = (await asyncio.to_thread(embedder.encode_batch, [args.prompt]))[0]
                near = await backend.find_candidates(
                    vector, 0.0, k=args.k, namespace=args.namespace, embedder=embedder.fingerprint
                )
                for scope in dict.fromkeys(c.entry.scope for c in near):
                    candidates = await backend.find_candidates(
                        vector, args.similarity, k=_CANDIDATES, namespace=args.namespace, scope=scope,
                        embedder=embedder.fingerprint,
                    )  # fmt: skip
                    served[scope] = next((c for c in candidates if not check.all(args.prompt, c.entry.prompt)), None)
            now = backend.clock()
    except CommandError as error:
        if "which cache?" in str(error):
            raise CommandError(
                "explain needs a second text, or a cache: pass --db PATH or --url URL", code=2
            ) from error
        raise
    rows = [_row(args, c, check, served, {key for key, _ in exact}, now) for c in near]
    if args.json:
        record = {
            "prompt": args.prompt,
            "threshold": args.similarity,
            "guards": list(guards.names),
            "embedder": embedder.fingerprint,
            "readable": readable,
            "exact": [
                {"key": key, "namespace": e.namespace, "scope": e.scope, "age": now - e.created_at} for key, e in exact
            ],
            "nearest": rows,
            "served": {
                scope: None if c is None else {"key": c.key, "similarity": c.similarity, "prompt": c.entry.prompt}
                for scope, c in served.items()
            },
            "other_embedder": sum(others.values()),
        }
        print_json(record)
        return 0
    _print(args, rows, exact, others, readable, now)
    return 0


async def _scan(
    backend: StorageBackend, args: Args, embedder: EmbeddingProvider
) -> tuple[list[tuple[str, Any]], Counter[str]]:
    """Return the entries with exactly this text, and how many have vectors of which other embedders."""
    exact = []
    others: Counter[str] = Counter()
    async for key, entry in backend.scan(namespace=args.namespace):
        if entry.prompt == args.prompt:
            exact.append((key, entry))
        if entry.embedding is not None and entry.embedder != embedder.fingerprint:
            others[entry.embedder] += 1
    return exact, others


def _row(
    args: Args,
    candidate: Candidate,
    check: PairCheck,
    served: dict[str, Candidate | None],
    exact: Iterable[str],
    now: float,
) -> dict[str, Any]:
    from semantic_llm_cache.management.labels import origin_of_entry

    entry = candidate.entry
    objections = check.all(args.prompt, entry.prompt)
    verdict, reason = _verdict(candidate.similarity, args.similarity, objections)
    chosen = served.get(entry.scope)
    if candidate.key in exact:
        verdict, reason = "exact", "same text, same scope"
    elif verdict == "same" and (chosen is None or chosen.key != candidate.key):
        reason = _NOT_NEAREST
    return {
        "key": candidate.key,
        "similarity": candidate.similarity,
        "scope": entry.scope,
        "namespace": entry.namespace,
        "age": max(0.0, now - entry.created_at),
        "prompt": entry.prompt,
        "objections": [veto.__dict__ for veto in objections],
        "verdict": verdict,
        "reason": reason,
        "origin": origin_of_entry(entry)._asdict(),
    }


def _where(origin: Mapping[str, str]) -> str:
    """Return who asked and how, as far as an entry shows it."""
    named = [f"{what} {clean(origin[what])}" for what in ("namespace", "function", "model", "scope") if origin[what]]
    return ", ".join(named)


def _print(
    args: Args,
    rows: list[dict[str, Any]],
    exact: list[tuple[str, Any]],
    others: Counter[str],
    readable: bool,
    now: float,
) -> None:
    from semantic_llm_cache.management.labels import origin_of_entry

    if not exact:
        say("No entry has exactly this text.")
    for key, entry in exact:
        say(
            f"{click.style('exact', fg='green')}: this text is stored, {age(now - entry.created_at)} old, "
            f"{_where(origin_of_entry(entry)._asdict())}, key {clean(key)}"
        )
    if not readable:
        from semantic_llm_cache.similarity.unseen import why_unreadable

        reason = why_unreadable(args.prompt)
        say(f"The text is {reason}." if reason.startswith("too") else f"The text {reason}.")
    elif not rows:
        say("No entry has a vector to compare with.")
    for row in rows:
        say()
        say(click.style(clean(row["prompt"]), bold=True))
        say(f"  similarity {row['similarity']:.4f}, {_where(row['origin'])}, {age(row['age'])} old")
        for veto in row["objections"]:
            say(f"  {veto['rule']}: {clean(veto['reason'])}")
        served = row["verdict"] == "same" and row["reason"] != _NOT_NEAREST
        verdict = click.style("served", fg="green") if served else _painted(row["verdict"])
        say(f"  {verdict}: {clean(row['reason'])}")
        say(dim(f"  key {clean(row['key'])}"))
    for name, count in sorted(others.items()):
        say()
        say(
            f"{count:,} {'entry has a vector' if count == 1 else 'entries have vectors'} of another embedder "
            f"({clean(name) or 'unnamed'}), never compared with this one's. "
            "Name the program's embedder with --embedder."
        )
