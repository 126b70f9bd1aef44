"""The generated tables of the reference pages and `.env.example`. `python -m tests.readme_tables` writes them; a test compares."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase
from pydantic.fields import FieldInfo

from app.apis import APIS
from app.config import PREFIX
from app.edge.auth.authenticator import METRICS_SCOPE
from app.errors import OWN_ROWS, DocumentedError
from app.gateway_settings import GatewaySettings
from app.telemetry.metrics import Metrics

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = (README, *sorted((ROOT / ".github/docs").glob("*.md")))
ENV_EXAMPLE = ROOT / ".env.example"


def fields() -> Iterator[tuple[str, FieldInfo]]:
    """Every setting by its variable's name."""
    for api in APIS:
        for name, field in api.settings.model_fields.items():
            yield f"{PREFIX}{api.name}_{name}".upper(), field
    for name, field in GatewaySettings.model_fields.items():
        yield f"{PREFIX}{name}".upper(), field


def default_of(field: FieldInfo) -> str:
    value = field.default
    if value is None or value == () or field.default_factory is not None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def settings_table() -> str:
    rows = [
        f"| `{name}` | {f'`{default}`' if (default := default_of(field)) else ''} | {field.description} |"
        for name, field in fields()
    ]
    return "\n".join(["| setting | default | meaning |", "|---|---|---|", *rows])


def env_example() -> str:
    parts = ["# Copy to .env. Every setting with its default; one without a value is not set.\n"]
    parts += [f"# {field.description}\n# {name}={default_of(field)}\n" for name, field in fields()]
    return "\n".join(parts)


def reasons_table() -> str:
    merged: dict[tuple[str | None, str], list[DocumentedError]] = {}
    for row in [*(row for api in APIS for row in api.errors), *OWN_ROWS]:
        merged.setdefault((row.backend, row.reason), []).append(row)
    lines = ["| reason | `code` | outcome | answer | text |", "|---|---|---|---|---|"]
    for (backend, reason), rows in merged.items():
        row = rows[0]
        answer = (
            "the gateway"
            if backend is None
            else " ".join(filter(None, (backend, str(row.http_status), row.vendor_code)))
        )
        text = " / ".join(dict.fromkeys(item.text or item.meaning for item in rows)).replace("|", "\\|")
        again = ", may be retried" if row.retry_safe else ""
        lines.append(f"| `{reason}` | `{row.code}` | {row.outcome or ''}{again} | {answer} | {text} |")
    return "\n".join(lines)


def scopes_table() -> str:
    rows = [f"| `{field}` | `{scope}` |" for api in APIS for field, scope in api.scopes.items()]
    return "\n".join(["| field | scope |", "|---|---|", *rows, f"| `/metrics` | `{METRICS_SCOPE}` |"])


def metrics_table() -> str:
    """By the registry that the gateway answers from."""
    metrics = Metrics()
    found = [item for item in vars(metrics).values() if isinstance(item, MetricWrapperBase)]
    rows = []
    for item in found:
        (family,) = item.describe()
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = ", ".join(f"`{label}`" for label in item._labelnames)
        rows.append(f"| `{name}` | {family.type} | {labels} | {family.documentation} |")
    assert len(rows) == len(list(metrics.registry.collect()))
    return "\n".join(["| metric | type | labels | meaning |", "|---|---|---|---|", *rows])


def generated() -> Mapping[str, str]:
    return {
        "settings": settings_table(),
        "reasons": reasons_table(),
        "scopes": scopes_table(),
        "metrics": metrics_table(),
    }


def filled(text: str) -> str:
    """A page with its tables as they are to be."""
    for name, table in generated().items():
        pattern = re.compile(f"<!-- {name} -->.*?<!-- /{name} -->", re.DOTALL)
        text = pattern.sub(lambda _, name=name, table=table: f"<!-- {name} -->\n{table}\n<!-- /{name} -->", text)
    return re.sub(r"(?<=<!-- gateway -->\n```sh\n)(export .*\n)+", lambda _: sandbox_exports(), text)


def sandbox_exports() -> str:
    """What points a gateway at the sandbox, as the sandbox prints it."""
    url = f"http://127.0.0.1:{GatewaySettings().sandbox_port}"
    return "".join(
        f"export {PREFIX}{api.name.upper()}_{name.upper()}={value}\n"
        for api in APIS
        for name, value in api.sandbox_settings(url).items()
    )


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(filled(page.read_text()))
    ENV_EXAMPLE.write_text(env_example())
