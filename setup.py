"""Whether the native extensions are built: `TIDEMARK_NATIVE` is `require`, `off`, or unset: if a compiler is there."""

import os

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools_rust import build_rust

_WANTED = os.environ.get("TIDEMARK_NATIVE", "auto")
_OPTIONS = ("auto", "off", "require")
if _WANTED not in _OPTIONS:
    raise SystemExit(f"TIDEMARK_NATIVE={_WANTED}: it is one of {', '.join(_OPTIONS)}")


class BuildRust(build_rust):
    """The extensions of pyproject.toml, optional unless they are required."""

    def finalize_options(self) -> None:
        super().finalize_options()
        if _WANTED == "off":
            self.extensions = []
        for extension in self.extensions:
            extension.optional = _WANTED != "require"


class Wheel(bdist_wheel):
    """Without the extensions, one wheel is for all."""

    def finalize_options(self) -> None:
        if _WANTED == "off":
            self.distribution.has_ext_modules = lambda: False
        super().finalize_options()


setup(cmdclass={"build_rust": BuildRust, "bdist_wheel": Wheel})
