"""Serves Amazon SQS for tests, with moto's own arguments."""

from moto.server import main

main()
