"""A command of a test: prints what it is given."""

import functools

from absl.flags import DEFINE_integer

import flags
from commands.interface import Command

TOYS = flags.Group("Toys", functools.partial(DEFINE_integer, "toys", 1, "Number of toys."))


def run(values, arguments):
    print(values.toys, values.batch_size, *arguments)
    return 7


COMMAND = Command(doc="Play.\n\nOn.", groups=(TOYS, flags.BATCH), run=run, arguments="[NAME]")
