"""A command of a test: prints what it is given."""

from absl.flags import DEFINE_integer

import flags
from commands.interface import Command

TOY = flags.Group("Toy", lambda flag_values: DEFINE_integer("toys", 1, "Number of toys.", 0, None, flag_values))


def run(values, arguments):
    print(values.toys, values.batch_size, *arguments)
    return 7


COMMAND = Command(doc="Play.\n\nWith toys.", groups=(TOY, flags.BATCH), run=run, arguments="[NAME]")
