"""`semantic-llm-cache reencrypt`: change the key of an encrypted cache."""

from __future__ import annotations

from typing import Any

from semantic_llm_cache.cli.common import CommandError, cache_options, chosen, open_backend, place_argument, run_async
from semantic_llm_cache.cli.output import counted, print_json, say
from semantic_llm_cache.cli.parsing import Args, command, option
from semantic_llm_cache.exceptions import EncryptionKeyError

__all__ = ["reencrypt_command"]


@command("reencrypt", "reencrypt cache.db", "reencrypt redis://localhost:6379/0 --plain")
@place_argument
@cache_options()
@option(
    "--plain",
    is_flag=True,
    show_default=False,
    help="Also encrypt what is stored in clear. Nobody else may have written to this storage before.",
)
def reencrypt_command(args: Args) -> int:
    """Encrypt everything in a cache with the first key of SEMANTIC_LLM_CACHE_ENCRYPTION_KEY.

    To change the key, set the variable to new,old for all programs, then run this, then take the old key away. The
    cache may be in use meanwhile. After an interruption run it again. A cache that is not encrypted needs --plain.
    """
    return run_async(_reencrypt(args))


async def _reencrypt(args: Args) -> int:
    async with open_backend(chosen(args), key="always") as opened:
        backend: Any = opened
        try:
            count = await backend.reencrypt(plain=args.plain)
        except EncryptionKeyError:
            raise
        except ValueError as error:  # not encrypted, and --plain was not given
            raise CommandError(str(error), code=2, redacted=True) from error
    if args.json:
        print_json({"encrypted": count})
    else:
        say(f"Encrypted {counted(count, 'record', 'records')} with the key {backend.key_ids[0]}.")
    return 0
