"""The configuration of a server: takt.toml, environment variables on top, everything checked before anything starts.

Each section's struct stands beside the mechanism it configures; `docs/configuration.md` is compared with them by a
test.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

import msgspec
from msgspec import Meta

from budgets.admission import AdmissionSettings
from budgets.deadline import BudgetSettings
from budgets.overload import OverloadSettings
from fallbacks.breaker import BreakerSettings
from fallbacks.cache import CacheSettings
from models.calibrate import KEPT_ACCURACY
from models.session import CPU
from router.adapters.settings import AdapterSettings
from router.http.callers import CallerSettings
from router.http.settings import AgentSettings, ServerSettings
from router.log import LogSettings
from router.policy.errors import PolicyError
from router.policy.project import Name, fit, parse_toml
from router.telemetry.settings import TelemetrySettings
from router.webhooks.settings import WebhookSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

ENV_PREFIX = "TAKT__"


class FileSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the project's other files are, relative to takt.toml."""

    routes: Annotated[str, Meta(min_length=1, description="routes, their targets and utterances")] = "routes.toml"
    rules: Annotated[str, Meta(min_length=1, description="guards and fallback rules; may be empty")] = "rules.toml"
    queues: Annotated[
        str, Meta(description="queues and how agents get tasks; without it, or with an empty name, there are no tasks")
    ] = "queues.toml"


class ModelSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the trained models are and how they run."""

    dir: Annotated[str, Meta(min_length=1, description="versions of models, as `takt train --out` writes them")] = (
        "models"
    )
    encoder: Annotated[
        str, Meta(description="folder of the pretrained encoder that `takt train` uses; empty: the installed package")
    ] = ""
    kept_accuracy: Annotated[
        float, Meta(ge=0.5, le=0.999, description="share of the routes taken that shall be right; sets thresholds")
    ] = KEPT_ACCURACY
    providers: Annotated[
        tuple[str, ...], Meta(min_length=1, description="onnxruntime's execution providers, the preferred first")
    ] = CPU
    keep_versions: Annotated[
        int, Meta(ge=3, le=1_000, description="versions that `takt train` leaves; the oldest goes first")
    ] = 5
    inline_limit_ms: Annotated[
        float, Meta(gt=0, le=1_000, description="a version whose `small` takes longer (median) is not activated, ms")
    ] = 2.0
    canary_loss_share: Annotated[
        float, Meta(ge=0, le=1, description="share of its canary texts that a new version may lose to the active one")
    ] = 0.02
    executor_queue: Annotated[
        int, Meta(ge=1, le=10_000, description="calls that may be waiting for the executor; one more is not queued")
    ] = 64


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All sections of takt.toml."""

    server: ServerSettings = ServerSettings()
    agents: AgentSettings = AgentSettings()
    budget: BudgetSettings = BudgetSettings()
    admission: AdmissionSettings = AdmissionSettings()
    overload: OverloadSettings = OverloadSettings()
    models: ModelSettings = ModelSettings()
    cache: CacheSettings = CacheSettings()
    breaker: BreakerSettings = BreakerSettings()
    log: LogSettings = LogSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    files: FileSettings = FileSettings()
    callers: dict[Name, CallerSettings] = {}
    webhooks: dict[Name, WebhookSettings] = {}
    adapters: AdapterSettings = AdapterSettings()


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Checked settings and the folder that their relative paths start from."""

    settings: Settings
    folder: Path

    def path(self, relative: str) -> Path:
        return self.folder / relative

    @property
    def routes_path(self) -> Path:
        return self.path(self.settings.files.routes)

    @property
    def rules_path(self) -> Path:
        return self.path(self.settings.files.rules)

    @property
    def queues_path(self) -> Path | None:
        """None: there is none. Another name than the default is a promise that there is one."""
        stated = self.settings.files.queues
        is_there = stated and (stated != FileSettings().queues or self.path(stated).exists())
        return self.path(stated) if is_there else None

    @property
    def models_dir(self) -> Path:
        return self.path(self.settings.models.dir)

    @property
    def encoder_dir(self) -> Path | None:
        """None: the installed package."""
        stated = self.settings.models.encoder
        return self.path(stated) if stated else None


def load_config(path: Path, environment: Mapping[str, str]) -> Config:
    """Read takt.toml and apply `TAKT__SECTION__KEY=value`. Raises: PolicyError naming file or variable, and key."""
    raw = parse_toml(path)
    overridden = _override(raw, environment)
    settings = _fit_settings(raw, f"{path}{overridden}")
    if settings.budget.default_ms > settings.budget.max_ms:
        raise PolicyError(f"{path}: budget.default_ms = {settings.budget.default_ms} is above budget.max_ms")
    _check_keys(settings, path)
    return Config(settings=settings, folder=path.resolve().parent)


def _fit_settings(raw: dict[str, Any], where: str) -> Settings:
    """Each caller and webhook on its own first, because msgspec does not say which entry of a table it means."""
    for section, kind in (("callers", CallerSettings), ("webhooks", WebhookSettings)):
        table = raw.get(section)
        for name, entry in table.items() if isinstance(table, dict) else ():
            fit({name: entry}, dict[Name, Any], f"{where}: {section}.{name}")
            fit(entry, kind, f"{where}: {section}.{name}")
    return fit(raw, Settings, where)


def _check_keys(settings: Settings, path: Path) -> None:
    """Each key tells one caller, and none is the admin's."""
    owners = {settings.server.admin_token: "server.admin_token"}
    for name, caller in settings.callers.items():
        if caller.key in owners:
            raise PolicyError(f"{path}: callers.{name}.key: is the same as {owners[caller.key]}")
        owners[caller.key] = f"callers.{name}.key"


def _override(raw: dict[str, Any], environment: Mapping[str, str]) -> str:
    """Write the variables into `raw`; returns what to add to an error's place."""
    names = sorted(name for name in environment if name.startswith(ENV_PREFIX))
    for name in names:
        *sections, key = name.removeprefix(ENV_PREFIX).lower().split("__")
        if not sections or not all((*sections, key)):
            raise PolicyError(f"{name}: an override is written {ENV_PREFIX}SECTION__KEY, as in TAKT__SERVER__PORT=9000")
        table: Any = raw
        for section in sections:  # more than one: the callers have one each
            # Lowered, as the name of a caller need not be: a second one beside it would leave the old key valid.
            given = section if section in table else next((each for each in table if each.lower() == section), section)
            table = table.setdefault(given, {})
            if not isinstance(table, dict):
                raise PolicyError(f"{name}: {section} is not a section")
        table[key] = environment[name] if _is_text(sections, key) else _value(environment[name])
    return f" with {', '.join(names)}" if names else ""


def _is_text(sections: list[str], key: str) -> bool:
    """Whether the setting is a string: an admin token may look like a number."""
    kind: Any = Settings
    for part in (*sections, key):
        if isinstance(kind, UnionType):  # a section that may be missing
            kind = get_args(kind)[0]
        if get_origin(kind) is dict:
            kind = get_args(kind)[1]
        elif isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            kind = {each.encode_name: each.type for each in msgspec.structs.fields(kind)}.get(part)
    return get_args(kind)[:1] == (str,)


def _value(text: str) -> Any:  # noqa: ANN401 - whatever TOML can say
    """A TOML value where the text is one, else the text itself: `9000`, `true`, `["a"]`, but also `debug`."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
