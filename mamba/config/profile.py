"""The beamline profile as frozen models, and its reader.

A *profile* is one YAML file (`beamline.yaml`) that says which Tango servers run, which devices stand in `M` (movable)
and `D` (detectors), which script the console starts with, and who may do what. Paths in it are relative to the file.
"""

from __future__ import annotations

import ipaddress
import math
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import AfterValidator, BaseModel, Field, PrivateAttr, ValidationError, field_validator, model_validator

from mamba.config.model import Model
from mamba.config.people import ROLES, PeopleConfig, Role
from mamba.errors import ProfileError, find_nearest

PropertyValue = str | float | int | bool | list[str] | list[float]
"""A Tango property as the profile writes it; the database stores strings."""


class TangoConfig(Model):
    """Which Tango database."""

    host: str = Field("embedded", description="'embedded', or host:port of the site's own database")
    port: int | Literal["auto"] = Field("auto", description="port of the embedded database on loopback")
    bind: str = Field("127.0.0.1", description="address on which the device servers listen; others reach only this one")

    @field_validator("host")
    @classmethod
    def _has_port(cls, host: str) -> str:
        if host != "embedded" and not host.rpartition(":")[2].isdigit():
            raise ValueError("write 'embedded' or HOST:PORT")
        return host

    @field_validator("bind")
    @classmethod
    def _is_address(cls, bind: str) -> str:
        # a name would be looked up by omniORB at start-up, with another answer from one machine to the next
        try:
            return str(ipaddress.IPv4Address(bind))
        except ValueError:
            raise ValueError("write an IPv4 address of this machine, such as 127.0.0.1") from None

    @field_validator("port", mode="before")
    @classmethod
    def _is_port(cls, port: object) -> object:
        # asked before pydantic would take true for 1, and name the parts of the union in its message
        if port != "auto" and not (type(port) is int and 0 < port < 2**16):
            raise ValueError("write 'auto' or a number from 1 to 65535")
        return port


class ServerDevice(Model):
    """One Tango device of a server."""

    class_name: str = Field(alias="class", description="Tango class")
    alias: str | None = None
    properties: dict[str, PropertyValue] = Field({}, description="as the database keeps them")


def _check_parts(name: str, form: str) -> str:
    if name.count("/") != form.count("/") or not all(name.split("/")) or any(map(str.isspace, name)):
        raise ValueError(f"write {form}")
    return name


ServerName = Annotated[str, AfterValidator(lambda name: _check_parts(name, "SERVER/INSTANCE"))]
DeviceName = Annotated[str, AfterValidator(lambda name: _check_parts(name, "DOMAIN/FAMILY/MEMBER"))]


class ServerConfig(Model):
    """One device server, started and supervised; its key in the profile is SERVER/INSTANCE."""

    module: str = Field(description="Python module, run as 'python -m MODULE INSTANCE'")
    devices: dict[DeviceName, ServerDevice] = Field(description="Tango device name → class and properties")


Shape = Literal[
    "motor", "pseudo_motor", "counter", "gated_counter", "zero_d", "detector_1d", "detector_2d", "lima", "camera",
    "shutter", "io_register",
]  # fmt: skip
"""What kind of thing a device is."""


class ClassConfig(Model):
    """What devices of one Tango class are; short form: the shape alone (`Motor: motor`)."""

    type: Shape = Field(description="the shape")
    attribute: str | None = Field(None, description="the attribute that is moved, for motors")
    options: dict[str, Any] = Field({}, description="keyword arguments of the device's class")

    @model_validator(mode="before")
    @classmethod
    def _from_word(cls, given: object) -> object:
        return {"type": given} if isinstance(given, str) else given


class DeviceConfig(Model):
    """One ophyd device in `M` or `D`; its key in the profile is the name below the group (`energy`, `sample.x`)."""

    tango: str = Field(description="Tango device name")
    type: Literal[Shape, "auto", "device", "signal"] = Field(
        "auto", description="'auto' follows the Tango class; 'device' is wrapped as its server describes it"
    )
    attribute: str | None = Field(None, description="the attribute that is moved or read, where the type has a choice")
    options: dict[str, Any] = Field({}, description="keyword arguments of the device's class")
    limits: dict[Role, tuple[float, float]] = Field(
        {}, description="role → lowest and highest target for it, within the server's limits"
    )

    @field_validator("limits")
    @classmethod
    def _widen_with_the_role(cls, limits: dict[Role, tuple[float, float]]) -> dict[Role, tuple[float, float]]:
        inner: tuple[Role, tuple[float, float]] | None = None
        for role in (known for known in ROLES if known in limits):
            low, high = limits[role]
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise ValueError(f"write [LOWEST, HIGHEST] for {role}, two finite numbers")
            if inner is not None and not (low <= inner[1][0] and inner[1][1] <= high):
                raise ValueError(f"the limits of {role} must hold those of {inner[0]}")
            inner = (role, (low, high))
        return limits


class DevicesConfig(Model):
    """The devices of the console."""

    M: dict[str, DeviceConfig] = Field({}, description="what moves")
    D: dict[str, DeviceConfig] = Field({}, description="what detects")


class ConsoleConfig(Model):
    """How the console starts."""

    startup: Path = Field(description="script that IPython runs first; makes M, D, RE and calls server_start")
    editing_mode: Literal["emacs", "vi"] = "emacs"
    colors: str = "linux"


class DataConfig(Model):
    """Where data goes."""

    directory: Path = Field(Path("data"), description="NeXus and raw files; relative to where 'mambactl up' was called")
    audit: Path | None = Field(
        None, description="audit log, on a disk that outlives a reboot; default: audit.jsonl among the session's logs"
    )


class ScansConfig(Model):
    """How scans behave."""

    wait_for_devices_s: float = Field(
        600.0, ge=0, description="longest time a run waits for a device whose server was lost; 0: it fails at once"
    )


class Profile(Model):
    """One beamline."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$", description="short name; part of the runtime directory")
    title: str = ""
    facility: str = ""
    person: str = Field("", description="who measures, until somebody logs in; empty: the login name")
    tango: TangoConfig = TangoConfig()
    servers: dict[ServerName, ServerConfig] = Field({}, description="SERVER/INSTANCE → what it runs")
    devices: DevicesConfig = DevicesConfig()
    classes: dict[str, ClassConfig] = Field({}, description="Tango class → shape, for devices without a type")
    console: ConsoleConfig
    data: DataConfig = DataConfig()
    scans: ScansConfig = ScansConfig()
    people: PeopleConfig = PeopleConfig()
    _path: Path = PrivateAttr(Path())

    @property
    def path(self) -> Path:
        """The file this came from, absolute."""
        return self._path

    @model_validator(mode="after")
    def _names(self) -> Profile:
        for group, devices in (("M", self.devices.M), ("D", self.devices.D)):
            for key in devices:
                if not all(part.isidentifier() for part in key.split(".")):
                    raise ValueError(f"device {group}.{key}: not a Python name")
        return self


def load_profile(path: Path) -> Profile:
    """Read a profile.

    Raises:
        ProfileError: the file cannot be read, is not YAML, or has an unknown key, a missing one or a wrong value;
            names the file, the line and the nearest known key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ProfileError(
            f"profile {path}: cannot be read",
            seen=error.strerror or str(error),
            remedy="give another with --profile",
        ) from None
    except UnicodeDecodeError as error:
        raise ProfileError(f"profile {path}: is not UTF-8", seen=str(error), remedy="save it as UTF-8") from None
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise ProfileError(f"profile {path}{line}: is not YAML", seen=problem, remedy="mend that line") from None
    if not isinstance(raw, dict) or root is None:
        raise ProfileError(
            f"profile {path}: is not a mapping",
            seen=type(raw).__name__,
            remedy="start it with 'name: my-beamline'",
        )
    _refuse_repeated_keys(path, root)
    try:
        profile = Profile.model_validate(raw)
    except ValidationError as error:
        raise _explain(path, root, error) from None
    startup = (path.absolute().parent / profile.console.startup).resolve()
    if not startup.is_file():
        raise ProfileError(
            f"profile {path} line {find_line(root, ('console', 'startup'))}: the start-up script is missing",
            seen=str(startup),
            remedy="write it, or name another one in console.startup",
        )
    folder = path.absolute().parent
    data = profile.data.model_copy(update={"audit": profile.data.audit and folder / profile.data.audit})
    console = profile.console.model_copy(update={"startup": startup})
    people = profile.people.resolve_paths(folder)
    profile = profile.model_copy(update={"console": console, "data": data, "people": people})
    profile._path = path.absolute()
    return profile


def _refuse_repeated_keys(path: Path, node: yaml.Node) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                raise ProfileError(
                    f"profile {path} line {line}: {key.value!r} stands twice",
                    seen=f"first on line {seen[key.value]}",
                    remedy="keep one of them",
                )
            seen[key.value] = line
            _refuse_repeated_keys(path, value)


def find_line(node: yaml.Node, location: tuple[int | str, ...]) -> int:
    """Line of the key or item at `location`, or of the innermost part of it that stands in the YAML file."""
    line = node.start_mark.line + 1
    for step in location:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(step):
                    line, node = key.start_mark.line + 1, value
                    break
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
    return line


def _explain(path: Path, root: yaml.Node, error: ValidationError) -> ProfileError:
    problems = error.errors()
    # an unknown key explains a missing one (a misspelt 'module'), so it is named first
    first = min(problems, key=lambda p: (p["type"] != "extra_forbidden", find_line(root, p["loc"])))
    location = first["loc"]
    where = f"profile {path} line {find_line(root, location)}"
    name = ".".join(str(step) for step in location if step != "[key]") or "profile"
    more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
    if first["type"] == "extra_forbidden":
        nearest = find_nearest(str(location[-1]), _known_keys(location[:-1]))
        return ProfileError(f"{where}: unknown key {name!r}{more}", remedy=nearest)
    if first["type"] == "missing":
        return ProfileError(f"{where}: {name!r} is missing{more}", remedy=f"add {location[-1]!r}")
    seen = repr(first["input"])
    return ProfileError(
        f"{where}: {name!r} cannot be used{more}",
        seen=seen if len(seen) < 80 else seen[:77] + "…",
        remedy=first["msg"].removeprefix("Value error, "),
    )


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    """Keys the profile knows at `location`; a name in a mapping of names to models is stepped over."""
    model: type[BaseModel] = Profile
    steps = iter(location)
    for step in steps:
        field = next(f for n, f in model.model_fields.items() if step in (n, f.alias))
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            model = field.annotation
        else:
            model = get_args(field.annotation)[-1]
            next(steps, None)
    return [f.alias or n for n, f in model.model_fields.items()]
