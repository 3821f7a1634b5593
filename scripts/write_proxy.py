"""Write the tables of settings in docs/proxy.md: `python scripts/write_proxy.py [--check]`.

With --check nothing is written; the status is 1 when the page is not what the settings say.
"""

from __future__ import annotations

import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [place for place in (str(PROJECT), str(PROJECT / "src")) if place not in sys.path]

from scripts.generated import write_or_check  # noqa: E402

from semantic_llm_cache.server import settings as module  # noqa: E402

PAGE = PROJECT / "docs" / "proxy.md"
BEGIN = "<!-- settings: written by scripts/write_proxy.py -->\n"
END = "<!-- end of settings -->\n"
TABLES = (
    ("Of the server", module.Settings, module.CacheSettings),
    ("Of the cache: for all requests, or in a rule", module.CacheSettings, None),
    ("Of an upstream: `[upstream.NAME]`", module.UpstreamSettings, None),
    ("Of a tenant: `[tenants.NAME]`", module.TenantSettings, None),
    ("Of a rule, beside those of the cache: `[[rules]]`", module.RuleSettings, module.CacheSettings),
)


def tables() -> str:
    """Return the tables."""
    parts = []
    for title, model, without in TABLES:
        left_out = set() if without is None else set(without.model_fields)
        parts += [f"### {title}", "", "| key | default | |", "|---|---|---|"]
        for name, field in model.model_fields.items():
            if name not in left_out:
                default = "needed" if field.is_required() else f"`{_shown(field.get_default())}`"
                parts.append(f"| `{name}` | {default} | {(field.description or '').replace('|', '/')} |")
        parts.append("")
    return "\n".join(parts) + "\n"


def _shown(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    return f"{value:g}" if isinstance(value, float) else str(value)


def main() -> int:
    """Write the tables, or check them."""
    before = PAGE.read_text(encoding="utf-8")
    begin, end = before.index(BEGIN) + len(BEGIN), before.index(END)
    return write_or_check(PAGE, f"{before[:begin]}\n{tables()}{before[end:]}", "write_proxy")


if __name__ == "__main__":
    sys.exit(main())
