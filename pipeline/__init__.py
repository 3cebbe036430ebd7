"""From files of audio to batches of symbols."""
