"""The committed bundle is made of the sources that are committed."""

import hashlib
from pathlib import Path

PROJECT = Path(__file__).parents[2]
FRONTEND = PROJECT / "frontend"
BUNDLE = PROJECT / "scenarios" / "static" / "scenarios" / "editor.js"
SOURCES = ["package-lock.json", "build.js", "editor.js", "schema.js", "yaml_place.js"]


def test_the_bundle_was_built_from_the_sources_as_they_are() -> None:
    digest = hashlib.sha256(b"".join((FRONTEND / name).read_bytes() for name in SOURCES)).hexdigest()
    built_from = BUNDLE.with_name("editor.js.sources").read_text().strip()
    assert digest == built_from, "editor.js is stale: run 'npm ci && npm run build' in frontend/"
    modules = {file.name for file in FRONTEND.glob("*.js") if not file.name.endswith(".test.js")}
    assert modules <= set(SOURCES)
