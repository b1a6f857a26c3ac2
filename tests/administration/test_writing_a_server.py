"""What docs/writing-a-server.md promises: the template is short, and a server copied from it passes the check."""

from __future__ import annotations

import os
from pathlib import Path

from tests.administration.test_template import check_contract
from tests.support.tango_facility import TangoFacility

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "tango_servers" / "template"


def test_all_of_it_has_less_than_a_hundred_lines_of_code() -> None:
    files = [*TEMPLATE.glob("*.py"), ROOT / "tests/administration/test_template.py"]
    lines = [line.strip() for file in files for line in file.read_text().splitlines()]
    code = [line for line in lines if line and not line.startswith(("#", '"""', "import ", "from "))]
    assert len(code) < 100


def test_a_copy_under_another_name_keeps_the_contract(control_system: TangoFacility, tmp_path: Path) -> None:
    package = tmp_path / "site_servers" / "oven"
    package.mkdir(parents=True)
    for file in TEMPLATE.glob("*.py"):
        text = file.read_text().replace("tango_servers.template", "site_servers.oven").replace("Heater", "Oven")
        (package / file.name).write_text(text)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", str(ROOT))])
    check_contract(control_system, "Oven/1", "Oven", "site_servers.oven", PYTHONPATH=path)
