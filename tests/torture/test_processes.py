"""The torture of the whole program, in short; `make torture` is the long form."""
import pytest
import torture
import victim


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    return victim.Stock(str(tmp_path_factory.mktemp("torture")))


def test_kill(stock):
    torture.kill_run(stock, 10, seed=1)


def test_cut(stock):
    torture.cut_run(stock, 10, seed=1)


@pytest.mark.parametrize("what", torture.WRONG)
def test_wrong_on_purpose(stock, what):
    assert torture.proof_run(stock, what, seed=1), "this loses certificates, and nobody noticed"


@pytest.mark.slow
@pytest.mark.parametrize("run", [torture.kill_run, torture.cut_run])
def test_long(stock, run):
    run(stock, 200, seed=2, name="long-" + run.__name__)
