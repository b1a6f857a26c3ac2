"""The beamline profile as frozen models, and the environment: the only reader of configuration."""

from mamba.config.environment import BUILT_IN_PROFILE, Environment, read_environment
from mamba.config.people import ROLES, LdapConfig, PamConfig, PeopleConfig, Role, RolesConfig
from mamba.config.profile import (
    ClassConfig,
    ConsoleConfig,
    DataConfig,
    DeviceConfig,
    DevicesConfig,
    Profile,
    ServerConfig,
    ServerDevice,
    TangoConfig,
    find_line,
    load_profile,
)

__all__ = [
    "BUILT_IN_PROFILE",
    "ROLES",
    "ClassConfig",
    "ConsoleConfig",
    "DataConfig",
    "DeviceConfig",
    "DevicesConfig",
    "Environment",
    "LdapConfig",
    "PamConfig",
    "PeopleConfig",
    "Profile",
    "Role",
    "RolesConfig",
    "ServerConfig",
    "ServerDevice",
    "TangoConfig",
    "find_line",
    "load_profile",
    "read_environment",
]
