"""Audio that is no WAV: what is said to those who expected it to be read."""

OTHER_AUDIO_SUFFIXES = (
    *(".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".aac", ".wma", ".aif", ".aiff", ".caf"),
    *(".ape", ".wv", ".tta", ".au", ".snd", ".w64"),
)


def how_to_convert(path: str) -> str:
    """Returns how a file becomes a WAV, to end a message with; empty where there is none."""
    return f"; {path!r} is audio, but no WAV: `ffmpeg -i IN OUT.wav` makes one" if path else ""
