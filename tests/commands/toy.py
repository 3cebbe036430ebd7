"""A command of a test: prints what it is given."""

from absl.flags import DEFINE_integer

import flags
from commands.interface import Command

TOYS = flags.Group(
    "Toys", lambda flag_values: DEFINE_integer("toys", 1, "Toys.", 0, 9, flag_values)
)


def run(values, arguments):
    print(values.toys, values.batch_size, *arguments)
    return 7


COMMAND = Command(
    doc="Play.\n\nWith toys.", groups=(TOYS, flags.BATCH), run=run, arguments="[NAME]"
)
