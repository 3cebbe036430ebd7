"""From files of audio to batches of samples."""

import os

# Before TensorFlow is imported, which looks at it then: any read from gs:// asks for so many bytes
# at once, 64 MiB by default. A scan of headers would download the whole of most files, and so would
# a read of half a MiB from their middle. This is what `tf.io.gfile` reads at a time in any case.
os.environ.setdefault("GCS_READAHEAD_BUFFER_SIZE_BYTES", str(2**19))
