"""The command line: a table of commands, and where each lives.

    python main.py [COMMAND] [FLAGS]        # after installation `wavestream` in any folder

`python main.py --help` lists the commands. To add one, write a module with a `COMMAND` (see
`commands/interface.py`) and name it here.
"""

from commands import parser

COMMANDS = {
    "train": "commands.train",  # The first is the default, where no command is named.
    "inspect": "commands.inspect",
    "evaluate": "commands.evaluate",
    "compare": "commands.compare",
    "serve_input": "commands.serve_input",
    "compress": "commands.compress",
    "decompress": "commands.decompress",
    "verify": "commands.verify",
    "info": "commands.info",
}


def main() -> None:
    """Runs the command that the arguments of this process name; installed as `wavestream`."""
    parser.run(COMMANDS)


if __name__ == "__main__":
    main()
