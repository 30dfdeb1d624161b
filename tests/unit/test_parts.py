"""What fetches and builds the parts that tests and the demo need."""

from pathlib import Path

import pytest

from ci.parts import helm


def test_helm_that_cannot_start_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `helm` in PATH that this machine cannot run counts as missing."""
    (tmp_path / "helm").write_bytes(b"\x7fELF of another machine")
    (tmp_path / "helm").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(helm, "program", lambda *_: "built")
    helm.helm.cache_clear()
    assert "built" == helm.helm(3)
    helm.helm.cache_clear()
