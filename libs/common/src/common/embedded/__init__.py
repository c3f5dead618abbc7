"""Starts the real parts (Kafka, schema registry, PostgreSQL, development issuer, caught mail) without Docker or root.

Never used in production: the services themselves only know addresses.
"""

import warnings

# Two libraries that fetch binaries ask for the runtime folder of a desktop session, which we never use.
warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
