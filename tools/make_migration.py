"""Write the migration that brings the last revision to the present tables, to be edited by hand.

Usage: make migration m="what changes"
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config

from registry.db import schema
from registry.db.session import make_engine


def main() -> None:
    """Compare a freshly migrated database with the tables."""
    message = sys.argv[1] if len(sys.argv) > 1 else ""
    if not message:
        sys.exit('usage: make migration m="what changes"')
    with tempfile.TemporaryDirectory() as folder:
        engine = make_engine(f"sqlite:///{folder}/empty.db")
        schema.upgrade(engine)
        config = Config()
        config.set_main_option("script_location", str(schema.migrations_folder()))
        config.attributes["engine"] = engine
        number = len(list(Path(schema.migrations_folder(), "versions").glob("0*.py"))) + 1
        command.revision(config, message=message, autogenerate=True, rev_id=f"{number:04}")
        engine.dispose()


if __name__ == "__main__":
    main()
