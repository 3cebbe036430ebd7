"""A command of a test: prints what it is given."""

import flags
from commands.interface import Command
from runtime.flag_definitions import Group, integer

TOYS = Group("Toys", integer("toys", 1, "TOYS", "Number of toys."))


def run(values, arguments):
    print(values.toys, values.batch_size, *arguments)
    return 7


COMMAND = Command(doc="Play.\n\nOn.", groups=(TOYS, flags.SAMPLES), run=run, arguments="[NAME]")
