"""The same house and helpers as the system tests have, for clients that others wrote."""
import importlib.util
import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "helpers"))
sys.path.append(os.path.join(os.path.dirname(HERE), "system"))
from place import Place  # noqa: E402

spec = importlib.util.spec_from_file_location("system_conftest", os.path.join(os.path.dirname(HERE), "system", "conftest.py"))
system = importlib.util.module_from_spec(spec)
spec.loader.exec_module(system)

House, Openssl, Factory = system.House, system.Openssl, system.Factory
factory, house, new_house, openssl, program = system.factory, system.house, system.new_house, system.openssl, system.program


@pytest.fixture(scope="session")
def place(house, tmp_path_factory):
    p = Place(house, tmp_path_factory.mktemp("clients"))
    yield p
    p.close()
